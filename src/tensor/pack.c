#include "tensor/pack.h"

#include "base/kernels.h"

SAP__KERNELS_DECLARE(const sap__pack_kernels, sap__pack);

uint64_t sap__pack(const void *elements, size_t size, const uint64_t *mask, uint64_t n, void *values) {
  return SAP__KERNELS_ACTIVE(sap__pack)->pack(elements, size, mask, n, values);
}

uint64_t sap__unpack(const void *values, size_t size, const uint64_t *mask, uint64_t n, void *elements) {
  return SAP__KERNELS_ACTIVE(sap__pack)->unpack(values, size, mask, n, elements);
}

void sap__nonzeros(const void *elements, size_t size, uint64_t bits, uint64_t n, uint64_t *mask) {
  SAP__KERNELS_ACTIVE(sap__pack)->nonzeros(elements, size, bits, n, mask);
}
