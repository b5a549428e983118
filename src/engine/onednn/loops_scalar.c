#define SAP_KERNEL(name) name##_scalar
#include "engine/onednn/loops_kernel.h"
