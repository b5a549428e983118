#include "runtime/kernels/pass_template.h"

const sap__pass_kernels sap__pass_avx512 = PASS_KERNELS;
