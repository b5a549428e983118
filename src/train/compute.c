/* A plan, described. */
#include "sapwood/compute.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "sapwood/experiment.h"
#include "train/network.h"
#include "train/remember.h"

struct sap_compute {
  sap__graph *graph;
  sap__arena *arena;
  sap__remember remember;
  sap__plan *plan;
  sap_compute_node *nodes;
  sap_compute_sum sum;
};

static const char *layout_of(const sap__format *f) {
  if (sap__format_plain(f)) return "rows";
  return f->last ? "channels-last" : f->block == 16 ? "blocks of 16" : "blocks";
}

static const char *element_of(const sap__format *f) { return f->bytes == 2 ? "bf16" : f->bytes == 4 ? "f32" : "f64"; }

static void describe(sap_compute *c) {
  for (int n = 0; n < c->graph->node_count; n++) {
    const sap__node *node = &c->graph->nodes[n];
    const sap__plan_node plan = sap__plan_describe(c->plan, n);
    sap_compute_node *out = &c->nodes[n];
    *out = (sap_compute_node){.name = node->name,
                              .op = sap__op_info_of(node->op)->name,
                              .runs = plan.is_view    ? "view"
                                      : plan.is_fused ? "fused"
                                                      : "",
                              .layout = layout_of(&plan.format),
                              .element = element_of(&plan.format),
                              .reorders = plan.reorders,
                              .bytes = plan.bytes};
    for (int pass = 0; pass < SAP_COMPUTE_PASSES; pass++)
      sap__plan_way(c->plan, n, pass, out->ways[pass], sizeof out->ways[pass]);
    c->sum.reorders += plan.reorders;
  }
  const sap__plan_sizes sizes = sap__plan_size(c->plan);
  c->sum.slices = sizes.slices;
  c->sum.bytes = sizes.bytes;
  c->sum.unshared_bytes = sizes.unshared_bytes;
  c->sum.scratch_bytes = sizes.scratch_bytes;
}

sap_status sap_compute_new(const char *model, int channels, int height, int width, int classes, int batch,
                           const char *engine_name, int precision, sap_compute **out, sap_error *err) {
  const sap__engine *engine = sap__engine_find(engine_name);
  if (batch < 1) return sap__fail(err, SAP_ERROR_ARGUMENT, "batch %d: expected at least 1", batch);
  if (!engine) return sap__fail(err, SAP_ERROR_ARGUMENT, "engine %.40s: not in this build", engine_name);
  if (precision == SAP_PRECISION_BF16 && !engine->bf16)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "precision bf16: engine %s has none", engine->name);
  if (precision == SAP_PRECISION_BF16) engine = engine->bf16;
  sap_compute *c = sap__calloc(1, sizeof *c);
  if (!c) return sap__fail_memory(err, sizeof *c);
  sap_status status = sap__network_open(NULL, model, sap__shape_3(channels, height, width), classes, &c->graph, err);
  if (!status) status = sap__arena_new(c->graph, 1, &c->arena, err);
  if (!status) status = sap__remember_open(&c->remember, engine, c->graph, NULL, err);
  if (!status)
    status = sap__plan_new(engine, c->graph, batch, c->arena->weights, c->arena->gradients, c->remember.choices,
                           &c->plan, err);
  if (!status) status = sap__remember_save(&c->remember, NULL, err);
  if (!status && !(c->nodes = sap__calloc((size_t)c->graph->node_count, sizeof *c->nodes)))
    status = sap__fail_memory(err, (size_t)c->graph->node_count * sizeof *c->nodes);
  if (status) {
    sap_compute_free(c);
    return status;
  }
  describe(c);
  *out = c;
  return SAP_OK;
}

void sap_compute_free(sap_compute *c) {
  if (!c) return;
  sap__plan_free(c->plan);
  sap__remember_close(&c->remember);
  sap__arena_free(c->arena);
  sap__graph_free(c->graph);
  sap__free(c->nodes);
  sap__free(c);
}

size_t sap_compute_count(const sap_compute *c) { return (size_t)c->graph->node_count; }
const sap_compute_node *sap_compute_at(const sap_compute *c, size_t i) {
  return i < sap_compute_count(c) ? &c->nodes[i] : NULL;
}
sap_compute_sum sap_compute_sums(const sap_compute *c) { return c->sum; }
