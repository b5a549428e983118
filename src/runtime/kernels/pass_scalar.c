/* Four floats a vector, as the compiler has them for any processor. */
#include "runtime/kernels/pass_template.h"

const sap__pass_kernels sap__pass_scalar = PASS_KERNELS;
