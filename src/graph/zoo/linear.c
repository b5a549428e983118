/* linear: one layer from the pixels to the classes. */
#include "graph/zoo/zoo.h"

static int build(sap__build *b, int x) {
  x = sap__build_flatten(b, "", "flatten", x);
  return sap__build_linear(b, "linear", x, b->graph->classes);
}

const sap__model sap__model_linear = {"linear", "one linear layer", build};
