#define SAP_KERNEL(name) name##_avx512
#include "data/pixels_kernel.h"
