#define SAP_KERNEL(name) name##_avx2
#include "engine/onednn/pool_kernel.h"
