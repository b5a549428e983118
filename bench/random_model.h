/* Networks with random weights and masks of uniform density, for benchmarks of the runtime. */
#ifndef SAP_BENCH_RANDOM_MODEL_H
#define SAP_BENCH_RANDOM_MODEL_H

#include "base/random.h"
#include "bench.h"
#include "graph/zoo/zoo.h"

BENCH_UNUSED static void random_model_stop(sap_status status, const sap_error *err) {
  if (status == SAP_OK) return;
  fprintf(stderr, "%s\n", err->text);
  exit(1);
}

/* Weights that keep the activations' size, of which a weight is kept with probability `density`. */
BENCH_UNUSED static float *random_weights(const sap__graph *graph, double density) {
  float *weights = bench_memory((size_t)graph->arena_count * sizeof *weights);
  sap__random random = sap__random_stream(7, 100, 0, 0);
  for (int i = 0; i < graph->param_count; i++) {
    const sap__param *param = &graph->params[i];
    double fan = (double)param->count / (double)param->shape.dim[0], scale = sqrt(6 / (fan * fmax(density, 1e-3)));
    for (uint64_t k = 0; k < param->count; k++) {
      double unit = 2 * sap__random_unit(&random) - 1;
      float value = param->prunable               ? (float)(scale * unit)
                    : param->init == SAP_INIT_ONE ? (float)(1 + 0.2 * unit)
                                                  : (float)(0.1 * unit);
      weights[param->offset + k] = param->prunable && sap__random_unit(&random) >= density ? 0 : value;
    }
  }
  return weights;
}

BENCH_UNUSED static void random_model_write(const sap__graph *graph, const float *weights, const char *path) {
  sap_error err;
  sap_tensor *tensors = bench_memory((size_t)graph->param_count * sizeof *tensors);
  for (int i = 0; i < graph->param_count; i++) {
    const sap__param *param = &graph->params[i];
    tensors[i] = (sap_tensor){.name = param->name,
                              .dtype = SAP_F32,
                              .rank = param->shape.rank,
                              .count = param->count,
                              .bytes = 4 * param->count,
                              .data = weights + param->offset};
    for (int k = 0; k < param->shape.rank; k++) tensors[i].shape[k] = (uint64_t)param->shape.dim[k];
  }
  const sap__shape *input = &graph->values[0].shape;
  char shape[64], classes[16];
  snprintf(shape, sizeof shape, "%dx%dx%d", (int)input->dim[0], (int)input->dim[1], (int)input->dim[2]);
  snprintf(classes, sizeof classes, "%d", graph->classes);
  const sap_metadata metadata[] = {
      {"sapwood.model", graph->model}, {"sapwood.input", shape}, {"sapwood.classes", classes}};
  random_model_stop(sap_safetensors_write(path, tensors, (size_t)graph->param_count, metadata, 3, &err), &err);
  free(tensors);
}

/* A network of the zoo, for pictures of the size that it is usually given. */
BENCH_UNUSED static sap__graph *random_model_graph(const char *name) {
  sap_error err;
  sap__graph *graph = NULL;
  int grey = !strcmp(name, "mlp") || !strcmp(name, "linear");
  random_model_stop(sap__model_graph(name, grey ? sap__shape_3(1, 28, 28) : sap__shape_3(3, 32, 32), 10, &graph, &err),
                    &err);
  return graph;
}

#endif
