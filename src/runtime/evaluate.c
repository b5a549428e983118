/* Accuracy and loss of a session on a data set. */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/loader.h"
#include "runtime/session.h"

/* −log softmax(y)[label]. */
static double loss_of(const float *y, int outputs, int label) {
  double largest = (double)y[0], sum = 0;
  for (int i = 1; i < outputs; i++) largest = fmax(largest, (double)y[i]);
  for (int i = 0; i < outputs; i++) sum += exp((double)y[i] - largest);
  return log(sum) + largest - (double)y[label];
}

/* The first of the largest; what is no number is not. */
static int largest_of(const float *y, int outputs) {
  int best = 0;
  for (int i = 1; i < outputs; i++)
    if (y[i] > y[best]) best = i;
  return best;
}

static sap_status check(const sap_session *session, const sap_dataset *set, sap_error *err) {
  const sap_model_info *info = &session->model->info;
  if (set->channels != info->channels || set->height != info->height || set->width != info->width)
    return sap__fail(err, SAP_ERROR_MISMATCH, "%s: pictures of %d x %d x %d, expected %d x %d x %d", set->name,
                     set->channels, set->height, set->width, info->channels, info->height, info->width);
  if (set->classes > info->outputs)
    return sap__fail(err, SAP_ERROR_MISMATCH, "%s: %d classes, expected at most %d", set->name, set->classes,
                     info->outputs);
  return SAP_OK;
}

sap_status sap_session_evaluate(sap_session *session, const sap_dataset *set, double *loss, double *accuracy,
                                sap_error *err) {
  sap_status status = check(session, set, err);
  if (status) return status;
  const sap_model_info *info = &session->model->info;
  size_t batch = (size_t)session->options.batch, outputs = (size_t)info->outputs;
  size_t picture = (size_t)info->channels * (size_t)info->height * (size_t)info->width;
  sap__loader loader;
  status = sap__loader_new(set, &set->test, &loader, err);
  if (status) return status;
  float *x = sap__alloc(batch * picture, sizeof *x), *y = sap__alloc(batch * outputs, sizeof *y);
  uint8_t *labels = sap__alloc(batch, 1);
  if (!x || !y || !labels) status = sap__fail_memory(err, batch * (picture + outputs) * sizeof *x);
  double sum = 0, correct = 0;
  for (uint32_t at = 0; !status && at < loader.count; at += (uint32_t)batch) {
    uint32_t now = loader.count - at < batch ? loader.count - at : (uint32_t)batch;
    sap__loader_fill(&loader, at, now, x, labels);
    status = sap_session_run(session, x, now, y, err);
    for (uint32_t k = 0; !status && k < now; k++) {
      sum += loss_of(y + k * outputs, info->outputs, labels[k]);
      correct += largest_of(y + k * outputs, info->outputs) == labels[k];
    }
  }
  if (!status) {
    *loss = sum / (double)loader.count;
    *accuracy = correct / (double)loader.count;
  }
  sap__free(x);
  sap__free(y);
  sap__free(labels);
  sap__loader_free(&loader);
  return status;
}
