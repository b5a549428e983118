/* cnn: four 3×3 convolutions with batch norm and ReLU, a max-pool between two of them, then the mean of each channel
 * and a linear layer. Names: a Sequential `blocks` and `linear`, as in models/cnn.py of the paper's code. */
#include "graph/zoo/zoo.h"

static int build(sap__build *b, int x) {
  static const int64_t channels[] = {64, 128, 256, 512};
  enum { STAGES = sizeof channels / sizeof channels[0] };
  int at = 0; /* in the Sequential */
  char name[16];
  for (int i = 0; i < STAGES; i++) {
    x = sap__build_conv(b, "blocks", sap__build_number(name, at++), x, channels[i], 3, 1, 1);
    x = sap__build_batch_norm(b, "blocks", sap__build_number(name, at++), x);
    x = sap__build_relu(b, "blocks", sap__build_number(name, at++), x);
    if (i < STAGES - 1) x = sap__build_max_pool(b, "blocks", sap__build_number(name, at++), x, 2, 2, 0);
  }
  x = sap__build_global_avg_pool(b, "blocks", sap__build_number(name, at++), x);
  x = sap__build_flatten(b, "blocks", sap__build_number(name, at++), x);
  return sap__build_linear(b, "linear", x, b->graph->classes);
}

const sap__model sap__model_cnn = {"cnn", "four convolutions, 64 to 512 channels", build};
