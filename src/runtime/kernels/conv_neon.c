#define SAP__LANES_NEON
#include "runtime/kernels/conv_template.h"

const sap__conv_kernels sap__conv_neon = CONV_KERNELS(20);
