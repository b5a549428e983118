#include "engine/onednn/norm.h"

#include "base/kernels.h"

SAP__KERNELS_DECLARE(const sap__norm_pair, sap__norm_loops);

const sap__norm *sap__norm_active(int bytes) { return &(*SAP__KERNELS_ACTIVE(sap__norm_loops))[bytes == 2]; }
