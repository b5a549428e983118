#include "tensor/widen_kernel.h"

const sap__widen_kernels sap__widen_avx512 = {f16, bf16};
