#define SAP_KERNEL(name) name##_scalar
#include "train/step_kernel.h"
