#include "train/profile.h"

#include <time.h>

sap_status sap__profile_start(sap__trainer *t, sap_error *err) {
  if (!t->callbacks.profile) return SAP_OK;
  sap__plan *plans[] = {t->train.full, t->train.tail};
  sap_status status = SAP_OK;
  for (int i = 0; i < 2 && !status; i++)
    if (plans[i]) status = sap__plan_profile(plans[i], err);
  return status;
}

double sap__profile_clock(const sap__trainer *t) {
  struct timespec now = {0, 0};
  if (t->callbacks.profile) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Seconds of all nodes of an op, in batches of both sizes. */
static double op_time(const sap__trainer *t, sap__op op, sap__time what) {
  const sap__plan *plans[] = {t->train.full, t->train.tail};
  double sum = 0;
  for (int i = 0; i < 2; i++)
    for (int n = 0; plans[i] && n < t->graph->node_count; n++)
      if (t->graph->nodes[n].op == op) sum += sap__plan_time(plans[i], n, what);
  return sum;
}

void sap__profile_report(const sap__trainer *t) {
  if (!t->callbacks.profile) return;
  sap_profile_row rows[SAP_OP_COUNT];
  sap_profile profile = {.steps = t->profiled_steps, .seconds = t->profiled_seconds, .rows = rows};
  for (int op = 0; op < SAP_OP_COUNT; op++) {
    const sap_profile_row row = {.op = sap__op_info_of((sap__op)op)->name,
                                 .forward = op_time(t, (sap__op)op, SAP__TIME_FORWARD),
                                 .data = op_time(t, (sap__op)op, SAP__TIME_DATA),
                                 .weights = op_time(t, (sap__op)op, SAP__TIME_WEIGHTS),
                                 .copies = op_time(t, (sap__op)op, SAP__TIME_COPIES)};
    if (row.forward + row.data + row.weights + row.copies > 0) rows[profile.row_count++] = row;
  }
  t->callbacks.profile(t->callbacks.user, &profile);
}
