#define SAP_KERNEL(name) name##_avx2
#include "train/step_kernel.h"
