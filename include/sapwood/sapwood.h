/* Everything of the public API. Each header can also be included alone. */
#ifndef SAPWOOD_SAPWOOD_H
#define SAPWOOD_SAPWOOD_H

#include "sapwood/checkpoint.h"
#include "sapwood/compute.h"
#include "sapwood/cpu.h"
#include "sapwood/dataset.h"
#include "sapwood/difference.h"
#include "sapwood/dtype.h"
#include "sapwood/experiment.h"
#include "sapwood/gini.h"
#include "sapwood/histogram.h"
#include "sapwood/layer.h"
#include "sapwood/mask.h"
#include "sapwood/model.h"
#include "sapwood/network.h"
#include "sapwood/norms.h"
#include "sapwood/phase.h"
#include "sapwood/plan.h"
#include "sapwood/pqi.h"
#include "sapwood/prune.h"
#include "sapwood/report.h"
#include "sapwood/runtime.h"
#include "sapwood/safetensors.h"
#include "sapwood/select.h"
#include "sapwood/status.h"
#include "sapwood/version.h"

#endif
