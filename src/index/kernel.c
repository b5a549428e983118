#include "index/kernel.h"

#include "base/kernels.h"

const sap__index_kernels *sap__index_kernels_active(void) { return SAP__KERNELS_ACTIVE(sap__index); }
