#define SAP_KERNEL(name) name##_avx512
#define NAME "avx512"
#include "engine/onednn/winograd_f32_kernel.h"
