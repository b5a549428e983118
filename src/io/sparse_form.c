#include "io/sparse_form.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/pages.h"
#include "io/safetensors.h"
#include "io/sparse_check.h"
#include "sapwood/mask.h"
#include "tensor/pack.h"

enum { VERSION = 1, HEAD = 8, AXIS = 8 };

static size_t element_size(const sap_tensor *tensor) { return sap_dtype_bits(tensor->dtype) / 8; }

static uint64_t head_bytes(const sap_tensor *tensor) { return HEAD + AXIS * (uint64_t)tensor->rank; }

int sap__sparse_possible(const sap_tensor *tensor) { return sap_dtype_bits(tensor->dtype) % 8 == 0 && tensor->count; }

/* ---- writing ---- */

/* Goes through a tensor's blocks. */
typedef struct walk {
  const sap_tensor *tensor;
  const uint64_t *mask;
  int mapped;
  sap__pages pages;
} walk;

static const uint8_t *block_data(const walk *w, uint64_t i) {
  return (const uint8_t *)w->tensor->data + i * SAP__SPARSE_BLOCK * element_size(w->tensor);
}

/* The mask of block i, bits past its end 0. */
static void block_mask(walk *w, uint64_t i, uint32_t length, uint64_t *mask) {
  const size_t size = element_size(w->tensor), words = sap_mask_words(length);
  if (w->mask) {
    memcpy(mask, w->mask + i * SAP__SPARSE_WORDS, words * sizeof *mask);
    if (length % 64) mask[words - 1] &= ((uint64_t)1 << length % 64) - 1;
    return;
  }
  const uint8_t *data = block_data(w, i);
  if (w->mapped) sap__pages_read(&w->pages, data, data + length * size);
  sap__nonzeros(data, size, UINT64_MAX, length, mask);
}

sap_status sap__sparse_measure_form(const sap_tensor *tensor, const uint64_t *mask, int mapped, sap__sparse_form *form,
                                    sap_error *err) {
  const uint64_t count = sap__sparse_blocks(tensor->count);
  sap__sparse_block *blocks = sap__alloc((size_t)count, sizeof *blocks);
  if (!blocks) return sap__fail_memory(err, (size_t)count * sizeof *blocks);
  uint64_t kept = 0, bytes = 0;
  walk w = {tensor, mask, mapped, SAP__PAGES_NONE};
#pragma omp parallel for schedule(static) firstprivate(w) reduction(+ : kept, bytes) if (count > 4)
  for (uint64_t i = 0; i < count; i++) {
    uint64_t words[SAP__SPARSE_WORDS];
    const uint32_t length = sap__sparse_length(tensor->count, i);
    block_mask(&w, i, length, words);
    blocks[i] = sap__sparse_measure(words, length);
    kept += blocks[i].kept;
    bytes += blocks[i].bytes;
  }
  if (mapped && !mask) sap__pages_drop(tensor->data, (size_t)tensor->bytes);
  *form = (sap__sparse_form){.kept = kept,
                             .value_bytes = kept * element_size(tensor),
                             .index_bytes = head_bytes(tensor) + count * SAP__SPARSE_RECORD + bytes,
                             .blocks = blocks};
  return SAP_OK;
}

sap_status sap__sparse_send_values(const sap_tensor *tensor, const uint64_t *mask, int mapped, sap__sink *sink,
                                   void *user, sap_error *err) {
  const size_t size = element_size(tensor);
  uint8_t *values = sap__alloc(SAP__SPARSE_BLOCK, size);
  if (!values) return sap__fail_memory(err, SAP__SPARSE_BLOCK * size);
  walk w = {tensor, mask, mapped, SAP__PAGES_NONE};
  sap_status status = SAP_OK;
  for (uint64_t i = 0; i < sap__sparse_blocks(tensor->count) && !status; i++) {
    uint64_t words[SAP__SPARSE_WORDS];
    const uint32_t length = sap__sparse_length(tensor->count, i);
    const uint8_t *data = block_data(&w, i);
    block_mask(&w, i, length, words);
    if (mapped && mask) sap__pages_read(&w.pages, data, data + length * size);
    const uint64_t kept = sap__pack(data, size, words, length, values);
    status = sink(user, values, (size_t)kept * size, err);
  }
  if (mapped) sap__pages_done(&w.pages);
  sap__free(values);
  return status;
}

static void put_number(uint8_t *at, uint64_t value) {
  for (int i = 0; i < 8; i++) at[i] = (uint8_t)(value >> 8 * i);
}

static sap_status send_head(const sap_tensor *tensor, sap__sink *sink, void *user, sap_error *err) {
  uint8_t head[HEAD + AXIS * SAP_TENSOR_MAX_RANK] = {VERSION, (uint8_t)tensor->rank};
  for (int axis = 0; axis < tensor->rank; axis++) put_number(head + HEAD + AXIS * axis, tensor->shape[axis]);
  return sink(user, head, (size_t)head_bytes(tensor), err);
}

sap_status sap__sparse_send_index(const sap_tensor *tensor, const uint64_t *mask, int mapped,
                                  const sap__sparse_form *form, sap__sink *sink, void *user, sap_error *err) {
  const uint64_t count = sap__sparse_blocks(tensor->count);
  walk w = {tensor, mask, mapped, SAP__PAGES_NONE};
  sap_status status = send_head(tensor, sink, user, err);
  for (uint64_t i = 0; i < count && !status; i++) {
    uint8_t record[SAP__SPARSE_RECORD];
    sap__sparse_record_write(form->blocks[i], record);
    status = sink(user, record, sizeof record, err);
  }
  for (uint64_t i = 0; i < count && !status; i++) {
    uint64_t words[SAP__SPARSE_WORDS];
    uint8_t code[SAP__SPARSE_CODE_MAX];
    const uint32_t length = sap__sparse_length(tensor->count, i);
    if (!form->blocks[i].bytes) continue;
    block_mask(&w, i, length, words);
    const sap__sparse_block block = sap__sparse_measure(words, length);
    if (memcmp(&block, &form->blocks[i], sizeof block)) /* another code would not fit its place */
      status = sap__fail(err, SAP_ERROR_IO, "%.60s: changed while it was read", tensor->name);
    if (status) break;
    sap__sparse_encode(words, block, code);
    status = sink(user, code, block.bytes, err);
  }
  if (mapped) sap__pages_done(&w.pages);
  return status;
}

/* ---- reading ---- */

static uint64_t take_number(const uint8_t *at) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--) value = value << 8 | at[i];
  return value;
}

const char *sap__sparse_read_head(const sap__sparse_view *view, sap_tensor *tensor) {
  static const uint8_t zeros[6];
  if (view->index_bytes < HEAD) return "the index is shorter than its head";
  if (view->index[0] != VERSION || memcmp(view->index + 2, zeros, sizeof zeros)) return "the index is not of version 1";
  tensor->rank = view->index[1];
  if (tensor->rank > SAP_TENSOR_MAX_RANK) return "the index has more than 8 axes";
  if (view->index_bytes < head_bytes(tensor)) return "the index is shorter than its head";
  for (int axis = 0; axis < tensor->rank; axis++) tensor->shape[axis] = take_number(view->index + HEAD + AXIS * axis);
  if (!sap_dtype_bits(tensor->dtype) || sap_dtype_bits(tensor->dtype) % 8) return "values of less than a byte";
  if (sap__tensor_size(tensor, &tensor->count, &tensor->bytes)) return "the shape's size overflows";
  if (!tensor->count) return "the shape has no elements";
  if ((view->index_bytes - head_bytes(tensor)) / SAP__SPARSE_RECORD < sap__sparse_blocks(tensor->count))
    return "the index is too short for the blocks of its shape";
  return NULL;
}

/* A block, and where its code and its values begin. */
typedef struct place {
  sap__sparse_block block;
  uint64_t code, kept;
} place;

/* Reads the records; what they say together must be what is there. */
static const char *find_places(const sap__sparse_view *view, const sap_tensor *tensor, place *places) {
  const uint64_t count = sap__sparse_blocks(tensor->count);
  const uint8_t *record = view->index + head_bytes(tensor);
  uint64_t code = head_bytes(tensor) + count * SAP__SPARSE_RECORD, kept = 0;
  for (uint64_t i = 0; i < count; i++, record += SAP__SPARSE_RECORD) {
    const char *wrong = sap__sparse_record_read(record, sap__sparse_length(tensor->count, i), &places[i].block);
    if (wrong) return wrong;
    places[i].code = code;
    places[i].kept = kept;
    code += places[i].block.bytes;
    kept += places[i].block.kept;
  }
  if (code != view->index_bytes) return "the index has another length than its blocks need";
  return kept == view->kept ? NULL : "the index keeps another number of weights than there are values";
}

static const char *read_block(const sap__sparse_view *view, const sap_tensor *tensor, const place *from, uint64_t i,
                              uint8_t *data, uint64_t *mask) {
  const uint32_t length = sap__sparse_length(tensor->count, i);
  const size_t size = element_size(tensor);
  uint64_t *words = mask + i * SAP__SPARSE_WORDS;
  const char *wrong = sap__sparse_decode(from->block, view->index + from->code, length, words);
  if (!wrong && data)
    (void)sap__unpack(view->values + from->kept * size, size, words, length, data + i * SAP__SPARSE_BLOCK * size);
  return wrong;
}

sap_status sap__sparse_read(const sap__sparse_view *view, const sap_tensor *tensor, void *data, uint64_t *mask,
                            const char **wrong, sap_error *err) {
  const uint64_t count = sap__sparse_blocks(tensor->count);
  uint64_t first_bad = count;
  place *places = sap__alloc((size_t)count, sizeof *places);
  if (!places) return sap__fail_memory(err, (size_t)count * sizeof *places);
  *wrong = find_places(view, tensor, places);
  if (!*wrong) {
#pragma omp parallel for schedule(static) reduction(min : first_bad) if (count > 4)
    for (uint64_t i = 0; i < count; i++)
      if (read_block(view, tensor, &places[i], i, data, mask) && i < first_bad) first_bad = i;
    if (first_bad < count) *wrong = read_block(view, tensor, &places[first_bad], first_bad, data, mask);
  }
  sap__free(places);
  return SAP_OK;
}

sap_status sap__sparse_positions(const sap__sparse_tensor *from, uint32_t *positions, const char **wrong,
                                 sap_error *err) {
  const sap_tensor *tensor = from->tensor;
  const uint64_t count = sap__sparse_blocks(tensor->count);
  place *places = sap__alloc((size_t)count, sizeof *places);
  if (!places) return sap__fail_memory(err, (size_t)count * sizeof *places);
  *wrong = find_places(from->view, tensor, places);
  const char *first = NULL;
#pragma omp parallel for schedule(static) if (count > 4)
  for (uint64_t i = 0; i < (*wrong ? 0 : count); i++) {
    const char *text =
        sap__sparse_list(places[i].block, from->view->index + places[i].code, sap__sparse_length(tensor->count, i),
                         (uint32_t)(i * SAP__SPARSE_BLOCK), positions + places[i].kept);
    if (text) {
#pragma omp atomic write
      first = text;
    }
  }
  if (first) *wrong = first;
  sap__free(places);
  return SAP_OK;
}

sap_status sap__sparse_check_all(const sap__sparse_tensor *tensors, size_t count, size_t *which, const char **wrong,
                                 sap_error *err) {
  size_t room = 0, job_count = 0;
  for (size_t t = 0; t < count; t++) room += (size_t)sap__sparse_blocks(tensors[t].tensor->count);
  sap__sparse_job *jobs = sap__alloc(room, sizeof *jobs);
  place *places = sap__alloc(room, sizeof *places);
  *wrong = NULL;
  for (size_t t = 0; jobs && places && t < count && !*wrong; t++) {
    *which = t;
    *wrong = find_places(tensors[t].view, tensors[t].tensor, places);
    for (uint64_t i = 0; i < (*wrong ? 0 : sap__sparse_blocks(tensors[t].tensor->count)); i++)
      if (places[i].block.bytes)
        jobs[job_count++] = (sap__sparse_job){.block = places[i].block,
                                              .code = tensors[t].view->index + places[i].code,
                                              .length = sap__sparse_length(tensors[t].tensor->count, i),
                                              .owner = t};
  }
  const int memory = jobs && places;
  if (memory && !*wrong) *wrong = sap__sparse_check_jobs(jobs, job_count, which);
  sap__free(jobs);
  sap__free(places);
  return memory ? SAP_OK : sap__fail_memory(err, room * (sizeof *jobs + sizeof *places));
}
