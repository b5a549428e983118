#include "runtime/kernels/conv_template.h"

const sap__conv_kernels sap__conv_avx512 = CONV_KERNELS(24);
