/* mlp: two hidden layers of 128 and 256 with ReLU; parameters blocks.0, blocks.2, linear. */
#include "graph/zoo/zoo.h"

static int build(sap__build *b, int x) {
  x = sap__build_flatten(b, "", "flatten", x);
  x = sap__build_linear(b, "blocks.0", x, 128);
  x = sap__build_relu(b, "", "blocks.1", x);
  x = sap__build_linear(b, "blocks.2", x, 256);
  x = sap__build_relu(b, "", "blocks.3", x);
  return sap__build_linear(b, "linear", x, b->graph->classes);
}

const sap__model sap__model_mlp = {"mlp", "two hidden layers, 128 and 256, with ReLU", build};
