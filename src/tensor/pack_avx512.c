#include "tensor/pack_kernel.h"

extern const sap__pack_kernels sap__pack_avx512;
const sap__pack_kernels sap__pack_avx512 = {pack, unpack, nonzeros};
