#define SAP_KERNEL(name) name##_neon
#include "engine/onednn/loops_kernel.h"
