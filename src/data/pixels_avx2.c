#define SAP_KERNEL(name) name##_avx2
#include "data/pixels_kernel.h"
