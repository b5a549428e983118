#include "index/kernel_power.h"

const sap__index_kernels sap__index_neon = {half_one, one_two, extent, power, compare};
