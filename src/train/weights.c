#include "train/weights.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "sapwood/version.h"

static sap_tensor describe(const sap__param *param, const char *name, sap_dtype dtype, const void *data) {
  sap_tensor tensor = {.name = name,
                       .dtype = dtype,
                       .rank = param->shape.rank,
                       .count = param->count,
                       .bytes = param->count * sap_dtype_bits(dtype) / 8,
                       .data = data};
  for (int i = 0; i < param->shape.rank; i++) tensor.shape[i] = (uint64_t)param->shape.dim[i];
  return tensor;
}

static void mask_name(const sap__param *param, char name[SAP__NAME_SIZE + 8]) {
  snprintf(name, SAP__NAME_SIZE + 8, "%s.mask", param->name);
}

/* Lists all parameters and their masks; returns how many tensors. `names` holds the masks' names. */
static size_t list_tensors(const sap__arena *arena, int masks, uint8_t *bytes, char (*names)[SAP__NAME_SIZE + 8],
                           sap_tensor *tensors) {
  size_t count = 0;
  for (int i = 0; i < arena->graph->param_count; i++) {
    const sap__param *param = &arena->graph->params[i];
    tensors[count++] = describe(param, param->name, SAP_F32, arena->weights + param->offset);
    if (!masks || !param->prunable) continue;
    sap_mask_to_bytes(arena->mask + param->offset / 64, param->count, bytes);
    mask_name(param, names[i]);
    tensors[count++] = describe(param, names[i], SAP_BOOL, bytes);
    bytes += param->count;
  }
  return count;
}

/* One number a channel, "0.4914 0.4822 0.4465". */
enum { NUMBERS_SIZE = 24 * SAP_DATASET_MAX_CHANNELS };

static void print_numbers(const float *numbers, int count, char text[NUMBERS_SIZE]) {
  for (int i = 0, used = 0; i < count; i++)
    used += snprintf(text + used, (size_t)(NUMBERS_SIZE - used), "%s%.9g", i ? " " : "", (double)numbers[i]);
}

sap_status sap__weights_write(const char *path, const sap__arena *arena, const sap_dataset *data, int masks,
                              int iteration, uint8_t *bytes, sap_error *err) {
  const sap__graph *graph = arena->graph;
  size_t params = (size_t)graph->param_count;
  sap_tensor *tensors = sap__calloc(2 * params, sizeof *tensors);
  char(*names)[SAP__NAME_SIZE + 8] = sap__calloc(params, sizeof *names);
  sap_status status = SAP_OK;
  if (!tensors || !names) status = sap__fail_memory(err, params * sizeof *names);
  if (!status) {
    size_t count = list_tensors(arena, masks, bytes, names, tensors);
    const sap__shape *input = &graph->values[0].shape;
    char shape[64], classes[16], number[16], mean[NUMBERS_SIZE], stddev[NUMBERS_SIZE];
    print_numbers(data->mean, data->channels, mean);
    print_numbers(data->stddev, data->channels, stddev);
    snprintf(shape, sizeof shape, "%lldx%lldx%lld", (long long)input->dim[0], (long long)input->dim[1],
             (long long)input->dim[2]);
    snprintf(classes, sizeof classes, "%d", graph->classes);
    snprintf(number, sizeof number, "%d", iteration);
    const sap_metadata metadata[] = {
        {"format", "pt"},           {"sapwood.version", sap_version()}, {"sapwood.model", graph->model},
        {"sapwood.input", shape},   {"sapwood.classes", classes},       {"sapwood.mean", mean},
        {"sapwood.stddev", stddev}, {"sapwood.iteration", number}};
    status = sap_safetensors_write(path, tensors, count, metadata, iteration < 0 ? 7 : 8, err);
  }
  sap__free(tensors);
  sap__free(names);
  return status;
}

static sap_status check(const char *path, const sap__param *param, const sap_tensor *found, const char *name,
                        sap_dtype dtype, sap_error *err) {
  if (!found) return sap__fail(err, SAP_ERROR_MISMATCH, "%s: no tensor %s", sap__path_tail(path), name);
  sap_tensor expected = describe(param, name, dtype, NULL);
  if (found->dtype != dtype)
    return sap__fail(err, SAP_ERROR_MISMATCH, "%s: %s: type %s, expected %s", sap__path_tail(path), name,
                     sap_dtype_name(found->dtype), sap_dtype_name(dtype));
  if (found->rank == expected.rank &&
      !memcmp(found->shape, expected.shape, sizeof found->shape[0] * (size_t)found->rank))
    return SAP_OK;
  sap__shape shape = {.rank = found->rank < SAP__MAX_RANK ? found->rank : SAP__MAX_RANK};
  for (int i = 0; i < shape.rank; i++) shape.dim[i] = (int64_t)found->shape[i];
  char has[96], wants[96];
  sap__shape_text(&shape, has, sizeof has);
  sap__shape_text(&param->shape, wants, sizeof wants);
  return sap__fail(err, SAP_ERROR_MISMATCH, "%s: %s: shape %s, expected %s", sap__path_tail(path), name, has, wants);
}

/* The file's tensor of that name, checked and readable. */
static sap_status find(sap_checkpoint *file, const sap__param *param, const char *name, sap_dtype dtype, size_t *place,
                       sap_error *err) {
  *place = sap_checkpoint_find(file, name);
  sap_status status = check(sap_checkpoint_path(file), param, sap_checkpoint_at(file, *place), name, dtype, err);
  return status ? status : sap_checkpoint_load(file, *place, err);
}

/* The mask of the parameter whose tensor is at `place`: one beside it, its own, or that of what is not 0. */
static sap_status read_mask(sap_checkpoint *file, const sap__param *param, size_t place, const float *w, uint64_t *mask,
                            sap_error *err) {
  char name[SAP__NAME_SIZE + 8];
  const uint64_t *own = sap_checkpoint_mask(file, place);
  mask_name(param, name);
  if (sap_checkpoint_find(file, name) < sap_checkpoint_count(file)) {
    size_t beside;
    sap_status status = find(file, param, name, SAP_BOOL, &beside, err);
    if (!status) sap_mask_from_bytes(sap_checkpoint_at(file, beside)->data, param->count, mask);
    return status;
  }
  if (own)
    memcpy(mask, own, sap_mask_words(param->count) * sizeof *mask);
  else
    sap_mask_from_nonzeros(w, SAP_F32, param->count, mask);
  return SAP_OK;
}

sap_status sap__weights_read(sap_checkpoint *file, sap__arena *arena, sap_error *err) {
  for (int i = 0; i < arena->graph->param_count; i++) {
    const sap__param *param = &arena->graph->params[i];
    size_t place;
    sap_status status = find(file, param, param->name, SAP_F32, &place, err);
    if (status) return status;
    float *w = arena->weights + param->offset;
    const sap_tensor *found = sap_checkpoint_at(file, place);
    memcpy(w, found->data, found->bytes);
    if (param->prunable) status = read_mask(file, param, place, w, arena->mask + param->offset / 64, err);
    if (status) return status;
  }
  sap__arena_apply_mask(arena);
  return SAP_OK;
}
