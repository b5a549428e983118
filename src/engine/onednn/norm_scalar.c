#define SAP_KERNEL(name) name##_scalar
#include "engine/onednn/norm_kernel.h"
