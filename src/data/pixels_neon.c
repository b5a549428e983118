#define SAP_KERNEL(name) name##_neon
#include "data/pixels_kernel.h"
