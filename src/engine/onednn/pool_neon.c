#define SAP_KERNEL(name) name##_neon
#include "engine/onednn/pool_kernel.h"
