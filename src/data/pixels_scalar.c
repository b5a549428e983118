#define SAP_KERNEL(name) name##_scalar
#include "data/pixels_kernel.h"
