#define SAP__LANES_NEON
#include "runtime/kernels/pass_template.h"

const sap__pass_kernels sap__pass_neon = PASS_KERNELS;
