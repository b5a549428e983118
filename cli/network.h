/* A network as a table or as JSON: sapwood info --model NAME. */
#ifndef CLI_NETWORK_H
#define CLI_NETWORK_H

#include "commands.h"

/* The options of it, for the command's table. */
#define NETWORK_OPTIONS                                                                                          \
  {0, "model", "NAME", NULL, "show this network, by name or PATH.onnx: its nodes, shapes and parameters"},       \
      {0, "input", "CxHxW", "channels x height x width", "with --model: the pictures; without it 3x32x32"},      \
      {0, "classes", "N", "1 <= classes <= 256", "with --model: the classes; without it 10"},                    \
      {0, "plan", NULL, NULL, "with --model: how a training step is computed: layouts, implementations, bytes"}, \
      {0, "batch", "N", "1 <= batch <= 65536", "with --plan: pictures of a step; without it 250"}, {             \
    0, "precision", "HOW", "fp32 or bf16", "with --plan: as for train"                                           \
  }

/* Prints the network. The exit code. */
int network_show(const command *self, const arguments *parsed);

#endif
