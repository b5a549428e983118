/* One epoch: forward, loss, backward, one pass over the arenas, and what is reported of it. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "train/profile.h"
#include "train/record.h"
#include "train/step.h"
#include "train/trainer.h"

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Cosine annealing to 0: lr · (1 + cos(π·(e − 1)/E)) / 2 in epoch e = 1 … E. */
static double learning_rate(const sap_experiment *e, uint64_t epoch) {
  return e->lr * (1 + cos(3.14159265358979323846 * (double)(epoch - 1) / e->epochs)) / 2;
}

/* Says where a NaN or infinity came from: a weight, the gradient of one, or an activation. */
static sap_status nonfinite(const sap__trainer *t, const sap__plan *plan, uint64_t step, sap_error *err) {
  const sap__arena *arena = t->state.arena;
  const char *what = "weights", *name = sap__arena_nonfinite(arena, arena->weights);
  const sap__node *node = plan ? sap__plan_nonfinite(plan) : NULL;
  if (!name && node) what = "activations", name = node->name;
  if (!name) what = "gradient", name = sap__arena_nonfinite(arena, arena->gradients);
  if (!name) what = "value", name = "loss";
  return sap__fail(err, SAP_ERROR_NONFINITE,
                   "iteration %llu, epoch %llu, step %llu: %s: a NaN or infinity among its %s (try a smaller lr)",
                   (unsigned long long)t->state.at.iteration, (unsigned long long)t->state.at.epoch,
                   (unsigned long long)step, name, what);
}

/* Dropout's numbers follow from the seed and the position alone. */
static sap__draw step_draw(const sap__trainer *t) {
  const sap__position *at = &t->state.at;
  uint64_t epochs = at->iteration * (uint64_t)t->experiment->epochs + at->epoch;
  return (sap__draw){t->experiment->seed, epochs * t->train.steps + at->step};
}

/* Forward, backward and update for one batch. */
static sap_status train_step(sap__trainer *t, const sap__step *base, sap_error *err) {
  sap__position *at = &t->state.at;
  sap__arena *arena = t->state.arena;
  sap__plan *plan;
  const double start = sap__profile_clock(t);
  sap__loss loss = sap__pass_forward(&t->train, (uint32_t)at->step, step_draw(t), &plan);
  if (!isfinite(loss.sum)) return nonfinite(t, plan, at->step + 1, err);
  sap__plan_backward(plan);
  double norm = sap__step_norm(arena->gradients, arena->trained);
  if (!isfinite(norm)) return nonfinite(t, plan, at->step + 1, err);
  sap__step step = *base;
  step.clip = sap__step_clip(norm, t->experiment->clip);
  sap__step_run(&step, arena->weights, arena->gradients, arena->momentum, arena->mask, arena->trained);
  at->loss += loss.sum;
  at->correct += loss.correct;
  at->step++;
  t->profiled_seconds += sap__profile_clock(t) - start;
  t->profiled_steps++;
  return SAP_OK;
}

static void report_progress(const sap__trainer *t) {
  if (!t->callbacks.progress) return;
  const sap__position *at = &t->state.at;
  const sap_experiment *e = t->experiment;
  double epochs = (double)at->iteration * e->epochs + (double)(at->epoch - 1) + (double)at->step / t->train.steps;
  sap_progress progress = {.iteration = (int)at->iteration,
                           .iterations = e->iterations,
                           .epoch = (int)at->epoch,
                           .epochs = e->epochs,
                           .step = (int)at->step,
                           .steps = (int)t->train.steps,
                           .done = epochs / ((e->iterations + 1.0) * e->epochs)};
  t->callbacks.progress(t->callbacks.user, &progress);
}

/* Keeps the weights of the epoch that does best on the set --select looks at; the first of equals. */
static void keep_best(sap__trainer *t, double accuracy) {
  sap__position *at = &t->state.at;
  if (!t->state.best || (at->best_epoch && accuracy <= at->best_accuracy)) return;
  at->best_epoch = at->epoch;
  at->best_accuracy = accuracy;
  memcpy(t->state.best, t->state.arena->weights, t->state.arena->count * sizeof(float));
}

/* With --rewind epoch:K the weights after epoch K of the first iteration become the initial ones. */
static void keep_rewind(sap__trainer *t) {
  const sap__position *at = &t->state.at;
  int wanted = t->experiment->rewind;
  if (wanted <= 0 || at->iteration || at->epoch != (uint64_t)wanted) return;
  memcpy(t->state.initial, t->state.arena->weights, t->state.arena->count * sizeof(float));
}

static sap_status finish_epoch(sap__trainer *t, double lr, double trained, double steps_done, double start,
                               sap_error *err) {
  sap__position *at = &t->state.at;
  sap_epoch_record record = {.iteration = (int)at->iteration,
                             .epoch = (int)at->epoch,
                             .lr = lr,
                             .train_loss = at->loss / t->train.loader.count,
                             .train_accuracy = (double)at->correct / t->train.loader.count,
                             .images_per_second = steps_done * t->train.batch / trained};
  sap__pass_evaluate(&t->test, &record.test_loss, &record.test_accuracy);
  sap__pass_evaluate(&t->validation, &record.validation_loss, &record.validation_accuracy);
  if (!isfinite(record.test_loss)) return nonfinite(t, NULL, at->step, err);
  record.seconds = seconds_now() - start;
  keep_best(t, t->experiment->select == SAP_PICK_BEST_VALIDATION ? record.validation_accuracy : record.test_accuracy);
  keep_rewind(t);
  sap_status status = sap__run_append(&t->run, sap__epoch_line(&record), err);
  if (status) return status;
  if (t->callbacks.epoch) t->callbacks.epoch(t->callbacks.user, &record);
  at->epoch++;
  at->step = at->correct = 0;
  at->loss = 0;
  return SAP_OK;
}

sap_status sap__trainer_epoch(sap__trainer *t, sap_error *err) {
  const sap_experiment *e = t->experiment;
  sap__position *at = &t->state.at;
  double start = seconds_now(), lr = learning_rate(e, at->epoch);
  sap__step step = {.lr = (float)lr, .momentum = (float)e->momentum, .weight_decay = (float)e->weight_decay};
  sap__pass_shuffle(&t->train, e->seed, (int)at->iteration, (int)at->epoch, (uint32_t)at->step);
  uint64_t first = at->step;
  while (at->step < t->train.steps) {
    sap_status status = train_step(t, &step, err);
    if (status) return status;
    report_progress(t);
    if (t->callbacks.stop && t->callbacks.stop(t->callbacks.user))
      return sap__fail(err, SAP_INTERRUPTED, "interrupted in iteration %llu, epoch %llu",
                       (unsigned long long)at->iteration, (unsigned long long)at->epoch);
  }
  return finish_epoch(t, lr, seconds_now() - start, (double)(at->step - first), start, err);
}
