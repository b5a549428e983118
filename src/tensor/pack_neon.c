#include "tensor/pack_kernel.h"

extern const sap__pack_kernels sap__pack_neon;
const sap__pack_kernels sap__pack_neon = {pack, unpack, nonzeros};
