#define SAP_KERNEL(name) name##_scalar
#include "engine/onednn/pool_kernel.h"
