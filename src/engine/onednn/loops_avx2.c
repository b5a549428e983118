#define SAP_KERNEL(name) name##_avx2
#include "engine/onednn/loops_kernel.h"
