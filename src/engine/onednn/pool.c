#include "engine/onednn/pool.h"

#include "base/kernels.h"

SAP__KERNELS_DECLARE(const sap__pool_pair, sap__pools);

const sap__pool_table *sap__pool_active(int bytes) { return &(*SAP__KERNELS_ACTIVE(sap__pools))[bytes == 2]; }
