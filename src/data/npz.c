/* A data set as one NPZ file of NumPy: x_train, y_train, x_test and y_test.
 *
 * Pictures are bytes or floats, (count, height, width, channels), (count, channels, height, width) or, grey,
 * (count, height, width); labels are integers, (count) or (count, 1). numpy.savez(path, x_train=…, …) writes it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "io/file.h"
#include "io/zip.h"

#define NAMES "x_train, y_train, x_test and y_test"
#define U64(x) ((unsigned long long)(x))

/* The arrays of an open file, and how the pictures lie in them. */
typedef struct arrays {
  sap_checkpoint *file;
  size_t index[4]; /* x_train, y_train, x_test, y_test */
  const sap_tensor *x[2], *y[2];
  int channels, height, width;
  int channels_last;
} arrays;

static sap_status fail_array(const arrays *a, sap_status code, const sap_tensor *tensor, const char *text,
                             sap_error *err) {
  char shape[96] = "";
  size_t used = 0;
  for (int axis = 0; axis < tensor->rank && used < sizeof shape - 24; axis++)
    used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%llu", axis ? ", " : "", U64(tensor->shape[axis]));
  return sap__fail(err, code, "%s: %s: %s of shape (%s), expected %s", sap__path_tail(sap_checkpoint_path(a->file)),
                   tensor->name, sap_dtype_name(tensor->dtype), shape, text);
}

static int is_channels(uint64_t length) { return length >= 1 && length <= SAP_DATASET_MAX_CHANNELS; }

/* Finds the channels' axis from the shape. */
static sap_status read_layout(arrays *a, sap_error *err) {
  const sap_tensor *x = a->x[0];
  const uint64_t *shape = x->shape;
  if (x->rank != 3 && x->rank != 4)
    return fail_array(a, SAP_ERROR_FORMAT, x, "pictures: (count, height, width, channels) or channels second", err);
  int last = x->rank == 4 && is_channels(shape[3]), second = x->rank == 4 && is_channels(shape[1]);
  if (x->rank == 4 && last == second)
    return fail_array(a, SAP_ERROR_FORMAT, x, "1 to 4 channels in either the second or the last axis", err);
  a->channels_last = last || x->rank == 3;
  uint64_t height = shape[a->channels_last ? 1 : 2], width = shape[a->channels_last ? 2 : 3];
  if (!height || height > SAP_DATASET_MAX_SIDE || !width || width > SAP_DATASET_MAX_SIDE)
    return fail_array(a, SAP_ERROR_FORMAT, x, "heights and widths of 1 to 4096", err);
  a->channels = x->rank == 3 ? 1 : (int)shape[last ? 3 : 1];
  a->height = (int)height;
  a->width = (int)width;
  return SAP_OK;
}

/* The second half against the first, labels against pictures. */
static sap_status check_arrays(const arrays *a, sap_error *err) {
  for (int half = 0; half < 2; half++) {
    const sap_tensor *x = a->x[half], *y = a->y[half];
    if (x->dtype != SAP_U8 && !sap_dtype_prunable(x->dtype))
      return fail_array(a, SAP_ERROR_UNSUPPORTED, x, "U8 or floats", err);
    if (x->dtype != a->x[0]->dtype || x->rank != a->x[0]->rank)
      return fail_array(a, SAP_ERROR_MISMATCH, x, "the type and axes of x_train", err);
    for (int axis = 1; axis < x->rank; axis++)
      if (x->shape[axis] != a->x[0]->shape[axis])
        return fail_array(a, SAP_ERROR_MISMATCH, x, "pictures of the shape of x_train's", err);
    if (!x->shape[0]) return fail_array(a, SAP_ERROR_FORMAT, x, "at least one picture", err);
    if ((y->rank != 1 && (y->rank != 2 || y->shape[1] != 1)) || y->shape[0] != x->shape[0])
      return fail_array(a, SAP_ERROR_MISMATCH, y, "one label a picture", err);
  }
  return SAP_OK;
}

static const char *const names[4] = {"x_train", "y_train", "x_test", "y_test"};

/* A checkpoint's stored members are used where they lie; pictures are read once, so their checksums can be, too. */
static sap_status verify(const char *path, sap_error *err) {
  sap__map map;
  sap__zip zip;
  sap_status code = sap__map_open(path, &map, err);
  if (code) return code;
  code = sap__zip_open(&zip, &map, path, 0, err);
  int opened = !code;
  for (int i = 0; i < 4 && !code; i++) {
    char name[16];
    int length = snprintf(name, sizeof name, "%s.npy", names[i]);
    const sap__zip_member *member = sap__zip_find(&zip, name, (size_t)length);
    if (member && member->method == SAP__ZIP_STORED) code = sap__zip_verify(&zip, member, err);
  }
  if (opened) sap__zip_close(&zip);
  sap__map_close(&map);
  return code;
}

static sap_status open_arrays(const char *path, arrays *a, sap_error *err) {
  *a = (arrays){0};
  sap_status code = sap_checkpoint_open(path, NULL, &a->file, err);
  if (code) return code;
  const char *shown = sap__path_tail(path);
  if (strcmp(sap_checkpoint_format(a->file), "npz"))
    code = sap__fail(err, SAP_ERROR_FORMAT, "%s: a file of the format %s, expected npz with " NAMES, shown,
                     sap_checkpoint_format(a->file));
  for (int i = 0; i < 4 && !code; i++) {
    a->index[i] = sap_checkpoint_find(a->file, names[i]);
    if (a->index[i] == sap_checkpoint_count(a->file))
      code = sap__fail(err, SAP_ERROR_FORMAT, "%s: no array %s, expected " NAMES, shown, names[i]);
    else
      *(i % 2 ? &a->y[i / 2] : &a->x[i / 2]) = sap_checkpoint_at(a->file, a->index[i]);
  }
  if (!code) code = read_layout(a, err);
  if (!code) code = check_arrays(a, err);
  if (code) sap_checkpoint_close(a->file);
  return code;
}

/* ---- labels ---- */

/* Element i of an array of integers; -1 if it is no class number, -2 if the type is none of integers. */
static int label_at(const sap_tensor *y, uint64_t i) {
  unsigned bytes = sap_dtype_bits(y->dtype) / 8;
  int is_signed = y->dtype == SAP_I8 || y->dtype == SAP_I16 || y->dtype == SAP_I32 || y->dtype == SAP_I64;
  int is_unsigned = y->dtype == SAP_U8 || y->dtype == SAP_U16 || y->dtype == SAP_U32 || y->dtype == SAP_U64;
  if (!is_signed && !is_unsigned && y->dtype != SAP_BOOL) return -2;
  const uint8_t *element = (const uint8_t *)y->data + i * bytes; /* little-endian */
  for (unsigned k = 1; k < bytes; k++)
    if (element[k]) return -1;
  return is_signed && bytes == 1 && element[0] > 127 ? -1 : element[0];
}

static sap_status read_labels(const arrays *a, int half, sap__dataset *dataset, sap_error *err) {
  const sap_tensor *y = a->y[half];
  if (label_at(y, 0) == -2) return fail_array(a, SAP_ERROR_UNSUPPORTED, y, "integers", err);
  const char *shown = sap__path_tail(sap_checkpoint_path(a->file));
  for (uint64_t i = 0; i < y->shape[0]; i++) {
    int label = label_at(y, i);
    if (label < 0)
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: %s: label %llu is no class, expected 0 to %d", shown, y->name,
                       U64(i), SAP_DATASET_MAX_CLASSES - 1);
    if (half && label >= dataset->set.classes)
      return sap__fail(err, SAP_ERROR_MISMATCH, "%s: y_test: label %llu is %d, expected at most %d as in y_train",
                       shown, U64(i), label, dataset->set.classes - 1);
    dataset->labels[half][i] = (uint8_t)label;
    if (!half && label >= dataset->set.classes) dataset->set.classes = label + 1;
  }
  return SAP_OK;
}

/* ---- pictures ---- */

/* from (H, W, C) to (C, H, W); both of n = H · W pixels. */
static void split_bytes(const uint8_t *from, uint8_t *to, int64_t n, int channels) {
  for (int c = 0; c < channels; c++)
    for (int64_t k = 0; k < n; k++) to[c * n + k] = from[k * channels + c];
}

static void split_floats(const float *from, float *to, int64_t n, int channels) {
  for (int c = 0; c < channels; c++)
    for (int64_t k = 0; k < n; k++) to[c * n + k] = from[k * channels + c];
}

static void copy_bytes(const arrays *a, int half, uint8_t *to) {
  int64_t plane = (int64_t)a->height * a->width, picture = plane * a->channels;
  const uint8_t *from = a->x[half]->data;
  for (uint64_t i = 0; i < a->x[half]->shape[0]; i++, from += picture, to += picture) {
    if (a->channels_last)
      split_bytes(from, to, plane, a->channels);
    else
      memcpy(to, from, (size_t)picture);
  }
}

static sap_status copy_floats(const arrays *a, int half, float *to, sap_error *err) {
  const sap_tensor *x = a->x[half];
  int64_t plane = (int64_t)a->height * a->width, picture = plane * a->channels;
  size_t bytes = (size_t)picture * sap_dtype_bits(x->dtype) / 8;
  float *widened = sap__alloc((size_t)picture, sizeof *widened);
  if (!widened) return sap__fail_memory(err, (size_t)picture * sizeof *widened);
  sap_status code = SAP_OK;
  for (uint64_t i = 0; i < x->shape[0] && !code; i++, to += picture) {
    sap_dtype_to_f32(x->dtype, (const uint8_t *)x->data + i * bytes, widened, (size_t)picture);
    for (int64_t k = 0; k < picture && !code; k++)
      if (!isfinite(widened[k]))
        code = sap__fail(err, SAP_ERROR_NONFINITE, "%s: %s: a NaN or infinity in picture %llu",
                         sap__path_tail(sap_checkpoint_path(a->file)), x->name, U64(i));
    if (a->channels_last)
      split_floats(widened, to, plane, a->channels);
    else
      memcpy(to, widened, (size_t)picture * sizeof *to);
  }
  sap__free(widened);
  return code;
}

static sap_status read_half(arrays *a, int half, sap__dataset *dataset, sap_error *err) {
  int floats = a->x[0]->dtype != SAP_U8;
  const char *shown = sap__path_tail(sap_checkpoint_path(a->file));
  /* Arrays first: a header may promise more than the file can be unpacked to. */
  sap_status code = sap_checkpoint_load(a->file, a->index[2 * half], err);
  if (!code) code = sap_checkpoint_load(a->file, a->index[2 * half + 1], err);
  if (!code) code = sap__dataset_take(dataset, half, a->x[half]->shape[0], floats, shown, err);
  if (!code) code = read_labels(a, half, dataset, err);
  if (code) return code;
  if (floats) return copy_floats(a, half, dataset->floats[half], err);
  copy_bytes(a, half, dataset->pixels[half]);
  return SAP_OK;
}

static sap_status open_npz(const char *path, const sap_dataset_options *options, sap__dataset *dataset,
                           sap_error *err) {
  (void)options;
  arrays a;
  sap_status code = open_arrays(path, &a, err);
  if (code) return code;
  sap_dataset *set = &dataset->set;
  set->channels = a.channels;
  set->height = a.height;
  set->width = a.width;
  code = verify(path, err);
  if (!code) code = read_half(&a, 0, dataset, err);
  if (!code) code = read_half(&a, 1, dataset, err);
  sap_checkpoint_close(a.file);
  if (!code) sap__dataset_measure(dataset);
  return code;
}

static sap_status describe_npz(const char *path, sap_dataset_summary *summary, sap_error *err) {
  arrays a;
  sap_status code = open_arrays(path, &a, err);
  if (code) return code;
  *summary =
      (sap_dataset_summary){a.channels, a.height, a.width, 0, (uint32_t)a.x[0]->shape[0], (uint32_t)a.x[1]->shape[0]};
  sap_checkpoint_close(a.file);
  return SAP_OK;
}

const sap__dataset_kind sap__dataset_npz = {
    .name = "npz",
    .text = "your pictures as arrays x_train, y_train, x_test, y_test; PATH is the NPZ file",
    .path = "the NPZ file that holds " NAMES,
    .open = open_npz,
    .describe = describe_npz,
};
