#include "recommend.h"

#include <stdlib.h>

#include "results.h"
#include "sapwood/phase.h"

/* The phases of the iterations, by the run's own settings; of a record without the index at the method's scope by that
 * of all weights. 0 if there are none to speak of. */
static int find_phases(const sap_experiment *experiment, const json_t *iterations, sap_phases *phases) {
  const size_t count = json_array_size(iterations);
  double *pqi = malloc(2 * (count + 1) * sizeof *pqi), *density = pqi + count;
  sap_phase_options options = sap_phase_options_default();
  options.confirm = experiment->stop_after;
  if (!pqi) return 0;
  for (size_t i = 0; i < count; i++) {
    const json_t *line = json_array_get(iterations, i);
    pqi[i] = results_number(line, json_object_get(line, "scope_pqi") ? "scope_pqi" : "pqi");
    density[i] = results_number(line, "density");
  }
  const sap_status status = sap_phases_find(pqi, density, count, &options, phases, NULL);
  free(pqi);
  return status == SAP_OK && count > 0;
}

static void print_phases(const sap_phases *phases, int count) {
  const char *between = "phases: ";
  for (int t = 0; t < count;) {
    const sap_phase phase = sap_phases_at(phases, t);
    int end = t;
    while (end + 1 < count && sap_phases_at(phases, end + 1) == phase) end++;
    printf("%s%s %d to %d", between, sap_phase_name(phase), t, end);
    between = ", ";
    t = end + 1;
  }
  putchar('\n');
}

void recommend_print(const terminal *t, const sap_experiment *experiment, const json_t *iterations) {
  sap_phases phases;
  if (!find_phases(experiment, iterations, &phases)) return;
  const json_t *kept = json_array_get(iterations, (size_t)phases.recommended), *dense = json_array_get(iterations, 0);
  char texts[3][16];
  print_phases(&phases, (int)json_array_size(iterations));
  printf("%srecommended: iteration %d keeps %s of the weights at %s accuracy (dense %s)%s\n",
         style_begin(t, STYLE_GOOD), phases.recommended, results_percent(results_number(kept, "density"), 1, texts[0]),
         results_percent(results_number(kept, "test_accuracy"), 1, texts[1]),
         results_percent(results_number(dense, "test_accuracy"), 1, texts[2]), style_end(t, STYLE_GOOD));
  if (phases.passed < 0)
    printf("why: the PQ Index still falls: the limit of compressibility is not passed, more iterations may go on\n");
  else
    printf("why: the PQ Index hardly fell any more by iteration %d: a halving of the weights changed it by %+.0f %%\n",
           phases.passed, -100 * phases.gain);
}

static json_t *place(int iteration) { return iteration < 0 ? json_null() : json_integer(iteration); }

json_t *recommend_json(const sap_experiment *experiment, const json_t *iterations) {
  sap_phases phases;
  if (!find_phases(experiment, iterations, &phases)) return json_null();
  json_t *object = json_object();
  json_object_set_new(object, "iteration", place(phases.recommended));
  json_object_set_new(object, "valley", place(phases.valley));
  json_object_set_new(object, "passed", place(phases.passed));
  json_object_set_new(object, "peak", place(phases.peak));
  json_object_set_new(object, "fallen", place(phases.fallen));
  json_object_set_new(object, "gain", json_number(phases.gain));
  return object;
}
