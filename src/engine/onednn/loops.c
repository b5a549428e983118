#include "engine/onednn/loops.h"

#include "base/kernels.h"

SAP__KERNELS_DECLARE(const sap__loops, sap__loops);

const sap__loops *sap__loops_active(void) { return SAP__KERNELS_ACTIVE(sap__loops); }
