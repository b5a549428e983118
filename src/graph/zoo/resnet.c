/* resnet9 and resnet18: pre-activation residual networks with a 3×3 stem, for small pictures. Names as in
 * models/resnet.py of the paper's code. */
#include <stdio.h>

#include "graph/zoo/preactivation.h"
#include "graph/zoo/zoo.h"

static int build(sap__build *b, int x, int blocks) {
  x = sap__build_conv(b, "", "conv1", x, 64, 3, 1, 0);
  for (int stage = 0; stage < 4; stage++)
    for (int i = 0; i < blocks; i++) {
      char name[32];
      snprintf(name, sizeof name, "layer%d.%d", stage + 1, i);
      x = sap__build_preactivation(b, name, x, (int64_t)64 << stage, stage > 0 && i == 0 ? 2 : 1);
    }
  x = sap__build_relu(b, "", "relu4", sap__build_batch_norm(b, "", "n4", x));
  x = sap__build_flatten(b, "", "flatten", sap__build_global_avg_pool(b, "", "pool", x));
  return sap__build_linear(b, "linear", x, b->graph->classes);
}

static int build9(sap__build *b, int x) { return build(b, x, 1); }
static int build18(sap__build *b, int x) { return build(b, x, 2); }

const sap__model sap__model_resnet9 = {"resnet9", "four pre-activation residual blocks, 64 to 512 channels", build9};
const sap__model sap__model_resnet18 = {"resnet18", "eight pre-activation residual blocks, 64 to 512 channels",
                                        build18};
