#define SAP_KERNEL(name) name##_avx2
#include "engine/onednn/norm_kernel.h"
