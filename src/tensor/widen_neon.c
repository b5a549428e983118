#include "tensor/widen_kernel.h"

const sap__widen_kernels sap__widen_neon = {f16, bf16};
