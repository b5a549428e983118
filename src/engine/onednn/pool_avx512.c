#define SAP_KERNEL(name) name##_avx512
#include "engine/onednn/pool_kernel.h"
