/* wresnet28x2 and wresnet28x8: wide residual networks (Zagoruyko and Komodakis 2016), 28 layers deep, 2 and 8 times as
 * wide; 16 channels, then stages of 16·k, 32·k, … that halve the picture until 8 pixels are left. Names as in
 * models/wresnet.py of the paper's code. */
#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "graph/zoo/preactivation.h"
#include "graph/zoo/zoo.h"

enum { DEPTH = 28 };

/* How often the picture is halved: ⌊log2 of its shorter side, rounded⌉ − 3. */
static int halvings(const sap__shape *picture) {
  int64_t side = picture->dim[1] < picture->dim[2] ? picture->dim[1] : picture->dim[2];
  return (int)lround(log2((double)side)) - 3;
}

static int build(sap__build *b, int x, int widen) {
  int halves = halvings(&b->graph->values[x].shape), stages = halves + 1;
  int blocks = stages > 0 ? ((DEPTH - 1) / stages - 1) / 2 : 0;
  if (blocks < 1) {
    char shape[96];
    sap__shape_text(&b->graph->values[x].shape, shape, sizeof shape);
    b->status =
        sap__fail(b->err, SAP_ERROR_MISMATCH, "wresnet: pictures %s, expected sides of 6 to 5792 pixels", shape);
    return 0;
  }
  x = sap__build_conv(b, "blocks", "0", x, 16, 3, 1, 0);
  char name[48];
  for (int stage = 0; stage < stages; stage++)
    for (int i = 0; i < blocks; i++) {
      snprintf(name, sizeof name, "blocks.%d.layer.%d", stage + 1, i);
      x = sap__build_preactivation(b, name, x, ((int64_t)16 << stage) * widen, stage > 0 && i == 0 ? 2 : 1);
    }
  int at = stages + 1; /* in the Sequential */
  x = sap__build_batch_norm(b, "blocks", sap__build_number(name, at++), x);
  x = sap__build_relu(b, "blocks", sap__build_number(name, at++), x);
  x = sap__build_global_avg_pool(b, "blocks", sap__build_number(name, at++), x);
  x = sap__build_flatten(b, "blocks", sap__build_number(name, at++), x);
  return sap__build_linear(b, "linear", x, b->graph->classes);
}

static int build2(sap__build *b, int x) { return build(b, x, 2); }
static int build8(sap__build *b, int x) { return build(b, x, 8); }

const sap__model sap__model_wresnet28x2 = {"wresnet28x2", "wide residual network, 28 layers, twice as wide", build2};
const sap__model sap__model_wresnet28x8 = {"wresnet28x8", "wide residual network, 28 layers, 8 times as wide", build8};
