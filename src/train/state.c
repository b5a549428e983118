#include "train/state.h"

#include <string.h>

#include "base/error.h"
#include "io/file.h"
#include "sapwood/safetensors.h"

enum { MAX_TENSORS = 10 };

/* The position as the file has it: counts and sums apart, plus the bytes of metrics.jsonl. */
typedef struct position_file {
  uint64_t counts[6]; /* iteration, epoch, step, correct, best_epoch, metrics_size */
  double sums[2];     /* loss, best_accuracy */
} position_file;

/* The one list of what the file holds: saving reads from these places, loading copies into them. */
static size_t list_tensors(const sap__state *state, const position_file *position, sap_tensor *tensors) {
  const sap__arena *arena = state->arena;
  size_t count = 0;
  tensors[count++] = sap_tensor_vector("counts", SAP_U64, position->counts, 6);
  tensors[count++] = sap_tensor_vector("sums", SAP_F64, position->sums, 2);
  tensors[count++] = sap_tensor_vector("mask", SAP_U64, arena->mask, arena->count / 64);
  tensors[count++] = sap_tensor_vector("weights", SAP_F32, arena->weights, arena->count);
  tensors[count++] = sap_tensor_vector("momentum", SAP_F32, arena->momentum, arena->count);
  tensors[count++] = sap_tensor_vector("initial", SAP_F32, state->initial, arena->count);
  if (state->best) tensors[count++] = sap_tensor_vector("best", SAP_F32, state->best, arena->count);
  if (state->first) tensors[count++] = sap_tensor_vector("first", SAP_F32, state->first, arena->count);
  if (state->pqi) tensors[count++] = sap_tensor_vector("pqi", SAP_F64, state->pqi, state->series_count);
  if (state->pqi) tensors[count++] = sap_tensor_vector("density", SAP_F64, state->density, state->series_count);
  return count;
}

static void file_path(const char *run, char *path) { sap__run_file(run, "state.safetensors", path, SAP_TEXT_SIZE); }

sap_status sap__state_save(const sap__state *state, sap__run *run, sap_error *err) {
  sap_status status = sap__run_flush(run, err);
  if (status) return status;
  const sap__position *at = &state->at;
  position_file position = {{at->iteration, at->epoch, at->step, at->correct, at->best_epoch, run->metrics_size},
                            {at->loss, at->best_accuracy}};
  sap_tensor tensors[MAX_TENSORS];
  size_t count = list_tensors(state, &position, tensors);
  char path[SAP_TEXT_SIZE];
  file_path(run->path, path);
  return sap_safetensors_write(path, tensors, count, NULL, 0, err);
}

static sap_status load_tensors(const sap_safetensors *file, const char *path, const sap_tensor *wanted, size_t count,
                               sap_error *err) {
  for (size_t i = 0; i < count; i++) {
    const sap_tensor *found = sap_safetensors_find(file, wanted[i].name);
    if (!found) return sap__fail(err, SAP_ERROR_FORMAT, "%s: no tensor %s", sap__path_tail(path), wanted[i].name);
    if (found->dtype != wanted[i].dtype || found->count != wanted[i].count)
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: %s: %llu of %s, expected %llu of %s", sap__path_tail(path),
                       wanted[i].name, (unsigned long long)found->count, sap_dtype_name(found->dtype),
                       (unsigned long long)wanted[i].count, sap_dtype_name(wanted[i].dtype));
  }
  for (size_t i = 0; i < count; i++) {
    const sap_tensor *found = sap_safetensors_find(file, wanted[i].name);
    memcpy((void *)(uintptr_t)wanted[i].data, found->data, found->bytes); /* our own arenas: writable */
  }
  return SAP_OK;
}

sap_status sap__state_load(sap__state *state, sap__run *run, sap_error *err) {
  char path[SAP_TEXT_SIZE];
  file_path(run->path, path);
  sap_safetensors *file;
  sap_status status = sap_safetensors_open(path, &file, err);
  if (status) return status;
  position_file position;
  sap_tensor tensors[MAX_TENSORS];
  size_t count = list_tensors(state, &position, tensors);
  status = load_tensors(file, path, tensors, count, err);
  sap_safetensors_close(file);
  if (!status) status = sap__run_cut(run, position.counts[5], err);
  if (status) return status;
  state->at = (sap__position){.iteration = position.counts[0],
                              .epoch = position.counts[1],
                              .step = position.counts[2],
                              .correct = position.counts[3],
                              .best_epoch = position.counts[4],
                              .loss = position.sums[0],
                              .best_accuracy = position.sums[1]};
  return SAP_OK;
}

sap_status sap__state_iteration(const char *run, uint64_t *iteration, sap_error *err) {
  char path[SAP_TEXT_SIZE];
  file_path(run, path);
  sap_safetensors *file;
  sap_status status = sap_safetensors_open(path, &file, err);
  if (status) return status;
  position_file position;
  const sap_tensor wanted = sap_tensor_vector("counts", SAP_U64, position.counts, 6);
  status = load_tensors(file, path, &wanted, 1, err);
  sap_safetensors_close(file);
  if (!status) *iteration = position.counts[0];
  return status;
}
