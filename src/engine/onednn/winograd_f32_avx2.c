#define SAP_KERNEL(name) name##_avx2
#define NAME "avx2"
#include "engine/onednn/winograd_f32_kernel.h"
