#define SAP_KERNEL(name) name##_scalar
#define NAME "scalar"
#include "engine/onednn/winograd_f32_kernel.h"
