#include "tensor/widen_vector.h"

const sap__widen_kernels sap__widen_avx512 = {f16, bf16};
