#define SAP_KERNEL(name) name##_avx512
#include "train/step_kernel.h"
