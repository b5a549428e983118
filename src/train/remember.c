#include "train/remember.h"

#include "base/error.h"

static int has_choices(const sap__engine *engine, const sap__graph *graph) {
  for (int n = 0; n < graph->node_count; n++)
    if (engine->chooses >> graph->nodes[n].op & 1) return 1;
  return 0;
}

sap_status sap__remember_open(sap__remember *r, const sap__engine *engine, const sap__graph *graph, const char *path,
                              sap_error *err) {
  *r = (sap__remember){.choices = NULL};
  if (!has_choices(engine, graph)) return SAP_OK;
  engine->describe_machine(r->machine, sizeof r->machine);
  r->choices = sap__choices_new();
  if (!r->choices) return sap__fail(err, SAP_ERROR_MEMORY, "no memory for the choices of a plan");
  sap_status status = path ? sap__choices_read(r->choices, path, r->machine, err)
                           : sap__choices_recall(r->choices, "plan", r->machine, err);
  if (status == SAP_ERROR_NOT_FOUND) status = SAP_OK;
  r->known = sap__choices_count(r->choices);
  return status;
}

int sap__remember_grew(const sap__remember *r) { return r->choices && sap__choices_count(r->choices) > r->known; }

sap_status sap__remember_save(sap__remember *r, const char *path, sap_error *err) {
  if (!r->choices || !sap__choices_count(r->choices)) return SAP_OK;
  if (sap__remember_grew(r)) sap__choices_keep(r->choices, "plan", r->machine);
  return path ? sap__choices_write(r->choices, path, r->machine, err) : SAP_OK;
}

void sap__remember_close(sap__remember *r) {
  sap__choices_free(r->choices);
  r->choices = NULL;
}
