#define SAP_KERNEL(name) name##_neon
#include "train/step_kernel.h"
