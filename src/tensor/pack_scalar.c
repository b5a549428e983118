#include "tensor/pack_plain.h"

static uint64_t pack(const void *elements, size_t size, const uint64_t *mask, uint64_t n, void *values) {
  return sap__pack_plain(elements, size, mask, n, values);
}

static uint64_t unpack(const void *values, size_t size, const uint64_t *mask, uint64_t n, void *elements) {
  return sap__unpack_plain(values, size, mask, n, elements);
}

static void nonzeros(const void *elements, size_t size, uint64_t bits, uint64_t n, uint64_t *mask) {
  sap__nonzeros_plain(elements, size, bits, n, mask);
}

extern const sap__pack_kernels sap__pack_scalar;
const sap__pack_kernels sap__pack_scalar = {pack, unpack, nonzeros};
