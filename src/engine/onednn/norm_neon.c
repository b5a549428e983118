#define SAP_KERNEL(name) name##_neon
#include "engine/onednn/norm_kernel.h"
