#include "graph/zoo/preactivation.h"

int sap__build_preactivation(sap__build *b, const char *prefix, int x, int64_t channels, int64_t stride) {
  int changes = stride != 1 || sap__build_channels(b, x) != channels;
  int active = sap__build_relu(b, prefix, "relu1", sap__build_batch_norm(b, prefix, "n1", x));
  int y = sap__build_conv(b, prefix, "conv1", active, channels, 3, stride, 0);
  y = sap__build_relu(b, prefix, "relu2", sap__build_batch_norm(b, prefix, "n2", y));
  y = sap__build_conv(b, prefix, "conv2", y, channels, 3, 1, 0);
  int shortcut = changes ? sap__build_conv(b, prefix, "shortcut", active, channels, 1, stride, 0) : x;
  return sap__build_add(b, prefix, "add", y, shortcut);
}
