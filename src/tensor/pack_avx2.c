#include "tensor/pack_kernel.h"

extern const sap__pack_kernels sap__pack_avx2;
const sap__pack_kernels sap__pack_avx2 = {pack, unpack, nonzeros};
