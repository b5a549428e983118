/* Four floats a vector, as the compiler has them for any processor. */
#include "runtime/kernels/conv_template.h"

const sap__conv_kernels sap__conv_scalar = CONV_KERNELS(10);
