/* resnet50: sixteen bottleneck blocks behind a 7×7 stem, for pictures of 64 pixels and more. The paper's code takes
 * it from torchvision (models/resnet50.py), batch norm after each convolution, and so are the names. */
#include <stdio.h>

#include "graph/zoo/zoo.h"

static int conv_norm(sap__build *b, const char *prefix, const char *conv, const char *norm, int x, int64_t channels,
                     int64_t kernel, int64_t stride) {
  x = sap__build_conv(b, prefix, conv, x, channels, kernel, stride, 0);
  return sap__build_batch_norm(b, prefix, norm, x);
}

/* 1×1 down to `width` channels, 3×3 (with the stride), 1×1 up to four times the width, plus what came in. */
static int bottleneck(sap__build *b, const char *prefix, int x, int64_t width, int64_t stride, int first) {
  int y = sap__build_relu(b, prefix, "relu1", conv_norm(b, prefix, "conv1", "bn1", x, width, 1, 1));
  y = sap__build_relu(b, prefix, "relu2", conv_norm(b, prefix, "conv2", "bn2", y, width, 3, stride));
  y = conv_norm(b, prefix, "conv3", "bn3", y, 4 * width, 1, 1);
  if (first) x = conv_norm(b, prefix, "downsample.0", "downsample.1", x, 4 * width, 1, stride);
  return sap__build_relu(b, prefix, "relu3", sap__build_add(b, prefix, "add", y, x));
}

static int build(sap__build *b, int x) {
  static const int blocks[] = {3, 4, 6, 3};
  x = sap__build_relu(b, "", "relu", conv_norm(b, "", "conv1", "bn1", x, 64, 7, 2));
  x = sap__build_max_pool(b, "", "maxpool", x, 3, 2, 1);
  for (int stage = 0; stage < 4; stage++)
    for (int i = 0; i < blocks[stage]; i++) {
      char name[32];
      snprintf(name, sizeof name, "layer%d.%d", stage + 1, i);
      x = bottleneck(b, name, x, (int64_t)64 << stage, stage > 0 && i == 0 ? 2 : 1, i == 0);
    }
  x = sap__build_flatten(b, "", "flatten", sap__build_global_avg_pool(b, "", "avgpool", x));
  return sap__build_linear(b, "fc", x, b->graph->classes);
}

const sap__model sap__model_resnet50 = {"resnet50", "sixteen bottleneck blocks behind a 7×7 stem", build};
