/* A plan as a list of runs: reading files, and keeping each run once. */
#include "train/plan.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "train/settings.h"

/* Plans are written by hand. */
enum { PLAN_LIMIT = 1 << 20 };

/* FNV-1a of the texts of all settings. */
static uint64_t hash_settings(const sap_experiment *experiment) {
  size_t count;
  const sap_setting *settings = sap_experiment_settings(&count);
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < count; i++) {
    char text[SAP_TEXT_SIZE];
    sap_experiment_get(experiment, &settings[i], text, sizeof text);
    for (size_t c = 0; c <= strlen(text); c++) hash = (hash ^ (unsigned char)text[c]) * 0x100000001b3u;
  }
  return hash;
}

static int are_equal(const sap_experiment *a, const sap_experiment *b) {
  char in_a[SAP_TEXT_SIZE], in_b[SAP_TEXT_SIZE];
  return !sap__setting_difference(a, b, in_a, in_b);
}

sap_status sap__plan_add(sap__planner *planner, const char *name, const sap_experiment *experiment, sap_error *err) {
  sap_plan *plan = planner->plan;
  const uint64_t hash = hash_settings(experiment);
  for (size_t i = 0; i < plan->count; i++) {
    const sap_plan_run *run = &plan->runs[i];
    if (planner->hashes[i] == hash && are_equal(&run->experiment, experiment)) return SAP_OK;
    if (!strcmp(run->name, name))
      return sap__fail(err, SAP_ERROR_FORMAT, "two different runs would be named %.120s", name);
  }
  if (plan->count == SAP_PLAN_RUNS_MAX) return sap__fail(err, SAP_ERROR_FORMAT, "more than %d runs", SAP_PLAN_RUNS_MAX);
  char *copy = sap__strdup(name);
  if (!copy || !sap__grow(&plan->runs, plan->count, sizeof *plan->runs) ||
      !sap__grow(&planner->hashes, plan->count, sizeof *planner->hashes)) {
    sap__free(copy);
    return sap__fail_memory(err, (plan->count + 1) * sizeof *plan->runs);
  }
  plan->runs[plan->count] = (sap_plan_run){copy, *experiment};
  planner->hashes[plan->count++] = hash;
  return SAP_OK;
}

sap_status sap_plan_open(const char *const *paths, size_t count, sap_plan **plan, sap_error *err) {
  sap__planner planner = {.plan = sap__calloc(1, sizeof(sap_plan))};
  if (!planner.plan) return sap__fail_memory(err, sizeof(sap_plan));
  sap_status status = count ? SAP_OK : sap__fail(err, SAP_ERROR_ARGUMENT, "no plan");
  for (size_t i = 0; i < count && !status; i++) {
    char *text;
    size_t size;
    status = sap__file_read(paths[i], PLAN_LIMIT, &text, &size, err);
    if (status) break;
    status = sap__plan_parse(&planner, sap__path_tail(paths[i]), text, size, err);
    sap__free(text);
  }
  sap__free(planner.hashes);
  if (status)
    sap_plan_free(planner.plan);
  else
    *plan = planner.plan;
  return status;
}

void sap_plan_free(sap_plan *plan) {
  if (!plan) return;
  for (size_t i = 0; i < plan->count; i++) sap__free(plan->runs[i].name);
  sap__free(plan->runs);
  sap__free(plan);
}
