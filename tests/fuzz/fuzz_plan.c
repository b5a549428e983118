/* Any bytes as a plan: what is taken has runs with settings in their ranges and names that are folders' names. */
#include "base/memory.h"
#include "fuzz.h"
#include "train/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  char *text = malloc(size + 1);
  sap__planner planner = {.plan = sap__calloc(1, sizeof(sap_plan))};
  FUZZ_CHECK(text && planner.plan);
  memcpy(text, bytes, size);
  sap_error err = {.text = ""};
  const sap_status status = sap__plan_parse(&planner, "fuzz", text, size, &err);
  if (status) {
    fuzz_check_named_refusal(status, &err);
  } else {
    FUZZ_CHECK(planner.plan->count >= 1 && planner.plan->count <= SAP_PLAN_RUNS_MAX);
    for (size_t i = 0; i < planner.plan->count; i++) {
      const sap_plan_run *run = &planner.plan->runs[i];
      FUZZ_CHECK(!sap_experiment_check(&run->experiment, NULL));
      FUZZ_CHECK(*run->name && strlen(run->name) < SAP_PLAN_NAME_SIZE && !strpbrk(run->name, "/\\ \n"));
    }
  }
  sap__free(planner.hashes);
  sap_plan_free(planner.plan);
  free(text);
  return 0;
}
