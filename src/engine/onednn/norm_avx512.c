#define SAP_KERNEL(name) name##_avx512
#include "engine/onednn/norm_kernel.h"
