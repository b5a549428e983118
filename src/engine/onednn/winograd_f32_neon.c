#define SAP_KERNEL(name) name##_neon
#define NAME "neon"
#include "engine/onednn/winograd_f32_kernel.h"
