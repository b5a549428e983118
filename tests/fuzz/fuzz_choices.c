/* Any bytes as the plan.json of a run: what is taken is text under keys, and a plan made by it computes what a plan
 * made without computes. */
#include <math.h>

#include "../engine_cases.h"
#include "engine/choices.h"
#include "fuzz.h"

static const char machine[] = "this one";
static const engine_case small = CASE("small", 16, 4, 4, 2, 1, CONV(16, 3, 1, 1), MEAN, FLATTEN, LINEAR(2));

/* The loss of a batch by a plan with these choices, or without. */
static double loss_of(engine_bench *b, sap__choices *choices) {
  sap__plan_free(b->plan);
  b->plan = NULL;
  FUZZ_CHECK(!sap__plan_new(sap__engine_find(NULL), b->graph, 1, b->weights, NULL, choices, &b->plan, NULL));
  return engine_bench_forward(b).sum;
}

/* Plans by the choices for the convolution above; there is nothing to see where they have none. */
static void check_plan(sap__choices *choices) {
  static engine_bench b;
  static double expected;
  const char *key, *choice;
  int relevant = 0;
  for (size_t i = 0; sap__choices_at(choices, i, &key, &choice); i++)
    relevant |= !strncmp(key, "conv2d forward f32", 18);
  if (!relevant) return;
  if (!b.graph) {
    b = engine_bench_new(&small, sap__engine_find(NULL));
    expected = loss_of(&b, NULL);
  }
  FUZZ_CHECK(fabs(loss_of(&b, choices) - expected) <= 1e-4 * fabs(expected));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  sap__choices *choices = sap__choices_new();
  char *text = malloc(size ? size : 1); /* of just that size: a read past the end is noticed */
  FUZZ_CHECK(choices && text);
  memcpy(text, bytes, size);
  sap_error err = {.text = ""};
  const sap_status status = sap__choices_parse(choices, "fuzz", text, size, machine, &err);
  free(text);
  if (status) {
    fuzz_check_named_refusal(status, &err);
    FUZZ_CHECK(!sap__choices_count(choices));
  } else {
    const char *key, *choice;
    for (size_t i = 0; sap__choices_at(choices, i, &key, &choice); i++)
      FUZZ_CHECK(strlen(key) + strlen(choice) <= size && sap__choices_find(choices, key) == choice);
    check_plan(choices);
  }
  sap__choices_free(choices);
  return 0;
}
