/* Runs a pruned network on noise and prints the most probable class of each picture.
 *
 *   cc classify.c $(pkg-config --cflags --libs sapwood) -o classify && ./classify model.safetensors 4 */
#include <sapwood/runtime.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const sap_error *err) { return fprintf(stderr, "%s\n", err->text), 1; }

int main(int argc, char **argv) {
  sap_error err;
  sap_model *model;
  if (argc != 3) return fprintf(stderr, "usage: classify MODEL PICTURES\n"), 2;
  if (sap_model_open(argv[1], NULL, &model, &err)) return fail(&err);
  sap_model_info info;
  sap_model_describe(model, &info);
  size_t count = strtoul(argv[2], NULL, 10), picture = (size_t)info.channels * info.height * info.width;
  float *x = calloc(count * picture, sizeof *x), *y = calloc(count * info.outputs, sizeof *y);
  for (size_t i = 0; i < count * picture; i++) x[i] = rand() / (float)RAND_MAX - 0.5f;

  sap_session_options options = sap_session_options_default();
  options.batch = (int)count;
  sap_session *session;
  if (sap_session_new(model, &options, &session, &err)) return fail(&err);
  if (sap_session_run(session, x, count, y, &err)) return fail(&err);
  sap_softmax(y, count, (size_t)info.outputs);
  for (size_t k = 0, best; k < count; k++) {
    best = 0;
    for (size_t i = 1; i < (size_t)info.outputs; i++)
      if (y[k * info.outputs + i] > y[k * info.outputs + best]) best = i;
    printf("picture %zu: class %zu, %.1f %%\n", k, best, 100 * y[k * info.outputs + best]);
  }
  sap_session_free(session);
  sap_model_close(model);
  free(x);
  free(y);
}
