/* What a plan decided, for those who want to see it. */
#include <stdio.h>

#include "engine/plan.h"

sap__plan_node sap__plan_describe(const sap__plan *plan, int node) {
  const sap__node *n = &plan->graph->nodes[node];
  const int is_loss = sap__op_info_of(n->op)->is_loss, view = sap__op_info_of(n->op)->view;
  sap__plan_node out = {.format = plan->formats[is_loss ? n->inputs[0] : n->output]};
  out.is_view = !plan->impls[node] && view;
  out.is_fused = !plan->impls[node] && !view;
  out.reorders = plan->impls[node] && view;
  const int norm_with_relu = plan->whole[node].relu;
  const int buffer = is_loss || out.is_view || norm_with_relu ? SAP__NO_BUFFER : plan->value_buffer[n->output];
  if (buffer == SAP__NO_BUFFER) return out;
  /* In the place of its input: no bytes of its own. */
  for (int i = 0; i < n->input_count; i++)
    if (plan->value_buffer[plan->root[n->inputs[i]]] == buffer) return out;
  out.bytes = (uint64_t)sap__format_bytes(&out.format) * (uint64_t)plan->batch;
  return out;
}

void sap__plan_way(const sap__plan *plan, int node, int pass, char *text, size_t size) {
  const sap__op_impl *impl = plan->impls[node];
  text[0] = 0;
  if (impl && impl->describe) impl->describe(&plan->whole[node], pass, text, size);
}

sap__plan_sizes sap__plan_size(const sap__plan *plan) {
  sap__plan_sizes sizes = {.slices = plan->slices,
                           .bytes = plan->memory_bytes,
                           .scratch_bytes = (uint64_t)plan->runners * plan->scratch_bytes};
  for (int v = 0; v < plan->graph->value_count; v++) {
    const uint64_t bytes = (uint64_t)sap__format_bytes(&plan->formats[v]) * (uint64_t)plan->batch;
    if (plan->root[v] != v) continue;
    sizes.unshared_bytes += bytes;
    if (plan->gradient_buffer[v] != SAP__NO_BUFFER) sizes.unshared_bytes += bytes;
  }
  return sizes;
}
