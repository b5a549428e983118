/* Writing a model again: all bytes as they were, but for the tensors that change and the lengths of the messages
 * around those that change their size. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/pages.h"
#include "io/atomic.h"
#include "io/file.h"
#include "io/onnx_external.h"
#include "io/onnx_form.h"
#include "sapwood/mask.h"

enum { PIECE = 1 << 20 };
enum { FIRST_SPARSE_IR = 5, FIRST_SPARSE_OPSET = 11 }; /* versions that know sparse initializers and constants */

/* Why the model is written: with the masks applied and all forms as they are, or in other forms. */
typedef enum purpose { REWRITE, TO_DENSE, TO_SPARSE } purpose;

typedef enum change { LENGTH, ZEROS, DENSE, SPARSE } change;

/* Bytes [start, end) of the model become `size` others. */
typedef struct edit {
  uint64_t start, end, size;
  size_t index; /* of the span or the tensor */
  change change;
} edit;

typedef struct plan {
  sap_checkpoint *checkpoint;
  const sap__onnx_model *model;
  const uint64_t *const *masks;
  purpose purpose;
  edit *edits; /* in the order of the file once planned */
  size_t count;
  int64_t *growth; /* of each span's contents */
  uint64_t size;   /* of the output */
} plan;

static const uint64_t *mask_of(const plan *p, const sap__onnx_tensor *tensor) {
  return p->masks && tensor->entry != SAP__ONNX_NONE ? p->masks[tensor->entry] : NULL;
}

/* Which values of a tensor a sparse form stores: *mask, in *own where memory had to be taken for it. A rewrite
 * never adds to what was stored. */
static sap_status sparse_mask(const plan *p, const sap__onnx_tensor *tensor, const uint64_t **mask, uint64_t **own,
                              sap_error *err) {
  *own = NULL;
  *mask = mask_of(p, tensor);
  sap_status status = SAP_OK;
  if (!*mask || tensor->sparse) status = sap_checkpoint_load(p->checkpoint, tensor->entry, err);
  if (status) return status;
  const sap__entry *entry = &p->checkpoint->entries[tensor->entry];
  int narrow = p->purpose == REWRITE && *mask;
  if (!*mask && entry->mask) *mask = entry->mask;
  if (*mask && !narrow) return SAP_OK;
  size_t words = sap_mask_words(entry->tensor.count);
  *own = sap__alloc(words, sizeof **own);
  if (!*own) return sap__fail_memory(err, words * sizeof **own);
  if (narrow)
    for (size_t i = 0; i < words; i++) (*own)[i] = (*mask)[i] & entry->mask[i];
  else
    sap_mask_from_nonzeros(entry->tensor.data, entry->tensor.dtype, entry->tensor.count, *own);
  *mask = *own;
  return SAP_OK;
}

/* Frees what a step decoded, unless the caller had it decoded before; gives back the pages that it read. */
static void unload(const plan *p, const sap__onnx_tensor *tensor, int was_loaded) {
  if (tensor->entry == SAP__ONNX_NONE) return;
  sap__entry *entry = &p->checkpoint->entries[tensor->entry];
  if (entry->in_place && entry->tensor.data) sap__pages_drop(entry->tensor.data, (size_t)entry->tensor.bytes);
  if (!was_loaded) sap__checkpoint_unload(p->checkpoint, entry);
}

static int is_loaded(const plan *p, const sap__onnx_tensor *tensor) {
  return tensor->entry != SAP__ONNX_NONE && p->checkpoint->entries[tensor->entry].decoded != NULL;
}

/* ---- the plan ---- */

static int may_be_sparse(const plan *p, const sap__onnx_tensor *tensor) {
  if (tensor->entry == SAP__ONNX_NONE) return 0;
  if (tensor->sparse) return 1;
  const sap_tensor *entry = &p->checkpoint->entries[tensor->entry].tensor;
  if (!entry->rank || !entry->count) return 0;
  if (tensor->constant ? p->model->opset < FIRST_SPARSE_OPSET : p->model->ir_version < FIRST_SPARSE_IR) return 0;
  return entry->dtype == SAP_F32 || entry->dtype == SAP_F64 || entry->dtype == SAP_F16 || entry->dtype == SAP_BF16;
}

static void add_form(plan *p, const sap__onnx_form *form) {
  p->edits[p->count++] = (edit){.start = form->tensor->start,
                                .end = form->tensor->end,
                                .size = form->size,
                                .index = (size_t)(form->tensor - p->model->tensors),
                                .change = form->sparse ? SPARSE : DENSE};
}

/* The sparse form; with `if_smaller` only where the dense one is not smaller. 1 in *taken if it was planned. */
static sap_status plan_sparse(plan *p, const sap__onnx_tensor *tensor, int if_smaller, int *taken, sap_error *err) {
  const uint64_t *mask;
  uint64_t *own;
  *taken = 0;
  int was_loaded = is_loaded(p, tensor);
  sap_status status = sparse_mask(p, tensor, &mask, &own, err);
  if (!status) {
    sap__onnx_form form = sap__onnx_form_sparse(p->checkpoint, tensor, mask);
    *taken = !if_smaller || form.size < sap__onnx_form_dense(p->checkpoint, tensor).size;
    if (*taken) add_form(p, &form);
  }
  sap__free(own);
  unload(p, tensor, was_loaded);
  return status;
}

static sap_status plan_tensor(plan *p, const sap__onnx_tensor *tensor, sap_error *err) {
  const uint64_t *mask = mask_of(p, tensor);
  const sap__entry *entry = tensor->entry == SAP__ONNX_NONE ? NULL : &p->checkpoint->entries[tensor->entry];
  sap_status status = SAP_OK;
  int taken = 0;
  if (p->purpose == TO_SPARSE && may_be_sparse(p, tensor)) status = plan_sparse(p, tensor, 1, &taken, err);
  if (status || taken) return status;
  if (p->purpose == REWRITE && tensor->sparse) return mask ? plan_sparse(p, tensor, 0, &taken, err) : SAP_OK;
  if (p->purpose == REWRITE && tensor->map) return SAP_OK; /* its file is written again */
  if (tensor->sparse || tensor->map || (mask && !entry->in_place)) {
    sap__onnx_form form = sap__onnx_form_dense(p->checkpoint, tensor);
    add_form(p, &form);
  } else if (mask && entry->tensor.bytes) {
    p->edits[p->count++] = (edit){.start = entry->offset,
                                  .end = entry->offset + entry->tensor.bytes,
                                  .size = entry->tensor.bytes,
                                  .index = (size_t)(tensor - p->model->tensors),
                                  .change = ZEROS};
  }
  return SAP_OK;
}

/* The lengths of the messages around what grows or shrinks, inner ones first. */
static void plan_lengths(plan *p) {
  const sap__onnx_model *model = p->model;
  int64_t whole = 0;
  for (size_t i = 0; i < p->count; i++)
    p->growth[model->tensors[p->edits[i].index].span] +=
        (int64_t)p->edits[i].size - (int64_t)(p->edits[i].end - p->edits[i].start);
  for (size_t i = model->span_count; i-- > 0;) {
    const sap__onnx_span *span = &model->spans[i];
    if (!p->growth[i]) continue;
    uint64_t size = (uint64_t)((int64_t)(span->end - span->begin) + p->growth[i]);
    edit length = {span->length, span->begin, sap__varint_size(size), i, LENGTH};
    p->edits[p->count++] = length;
    int64_t growth = p->growth[i] + (int64_t)length.size - (int64_t)(length.end - length.start);
    *(span->parent == SAP__ONNX_NONE ? &whole : &p->growth[span->parent]) += growth;
  }
  p->size = (uint64_t)((int64_t)p->checkpoint->maps[0].size + whole);
}

static int by_start(const void *left, const void *right) {
  const edit *a = left, *b = right;
  return (a->start > b->start) - (a->start < b->start);
}

static sap_status make_plan(plan *p, sap_error *err) {
  const sap__onnx_model *model = p->model;
  size_t room = model->tensor_count + model->span_count;
  p->edits = sap__alloc(room, sizeof *p->edits);
  p->growth = sap__calloc(model->span_count, sizeof *p->growth);
  if (!p->edits || !p->growth) return sap__fail_memory(err, room * sizeof *p->edits);
  sap_status status = SAP_OK;
  for (size_t i = 0; i < model->tensor_count && !status; i++) {
    size_t before = p->count;
    status = plan_tensor(p, &model->tensors[i], err);
    if (!status && p->count > before && p->edits[before].size > SAP__ONNX_MAX) p->size = p->edits[before].size;
  }
  if (status) return status;
  if (!p->size) plan_lengths(p);
  if (p->size > SAP__ONNX_MAX)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: as one ONNX file it exceeds %u bytes",
                     sap__path_tail(p->checkpoint->path), SAP__ONNX_MAX);
  qsort(p->edits, p->count, sizeof *p->edits, by_start);
  return SAP_OK;
}

/* ---- the output ---- */

static sap_status to_out(void *user, const void *bytes, size_t size, sap_error *err) {
  sap__onnx_out *out = user;
  (void)err; /* the output has the same */
  sap__onnx_put(out, bytes, size);
  return out->status;
}

static void write_tensor(const plan *p, const edit *now, sap__onnx_out *out) {
  const sap__onnx_tensor *tensor = &p->model->tensors[now->index];
  int was_loaded = is_loaded(p, tensor);
  const uint64_t *mask = mask_of(p, tensor);
  uint64_t *own = NULL;
  sap_status status = SAP_OK;
  sap__onnx_form form;
  switch (now->change) {
    case ZEROS: status = sap__checkpoint_stream(p->checkpoint, tensor->entry, mask, to_out, out, out->err); break;
    case DENSE:
      form = sap__onnx_form_dense(p->checkpoint, tensor);
      sap__onnx_form_write(p->checkpoint, &form, mask, out);
      break;
    default:
      status = sparse_mask(p, tensor, &mask, &own, out->err);
      if (status) break;
      form = sap__onnx_form_sparse(p->checkpoint, tensor, mask);
      sap__onnx_form_write(p->checkpoint, &form, mask, out);
  }
  if (!out->status) out->status = status;
  sap__free(own);
  unload(p, tensor, was_loaded);
}

/* Copies bytes of the model, and gives their pages back. */
static void copy(const uint8_t *bytes, uint64_t size, sap__onnx_out *out) {
  while (size && !out->status) {
    size_t now = size < PIECE ? (size_t)size : PIECE;
    sap__onnx_put(out, bytes, now);
    sap__pages_drop(bytes, now);
    bytes += now;
    size -= now;
  }
}

static void write_edits(const plan *p, sap__onnx_out *out) {
  const sap__map *map = &p->checkpoint->maps[0];
  uint64_t at = 0;
  for (size_t i = 0; i < p->count && !out->status; i++) {
    const edit *now = &p->edits[i];
    copy(map->bytes + at, now->start - at, out);
    at = now->end;
    if (now->change == LENGTH) {
      const sap__onnx_span *span = &p->model->spans[now->index];
      uint8_t bytes[WIRE_VARINT_MAX];
      uint64_t size = (uint64_t)((int64_t)(span->end - span->begin) + p->growth[now->index]);
      sap__onnx_put(out, bytes, sap__varint_write(size, bytes));
    } else {
      write_tensor(p, now, out);
    }
  }
  copy(map->bytes + at, map->size - at, out);
}

static sap_status write_model(const plan *p, const char *path, sap_error *err) {
  sap__atomic file = {.descriptor = -1};
  sap__onnx_out out = {0};
  sap_status status = sap__atomic_open(&file, path, err);
  if (!status) status = sap__onnx_out_start(&out, &file, err);
  if (!status) write_edits(p, &out);
  if (!status) status = sap__onnx_out_finish(&out);
  if (!status && out.written != p->size)
    status = sap__fail(err, SAP_ERROR_IO, "%s: changed while it was read", sap__path_tail(p->checkpoint->path));
  if (!status) status = sap__atomic_commit(&file, err);
  sap__atomic_abort(&file);
  return status;
}

/* A mask has a bit an element; elements of less than a byte cannot be zeroed one by one. */
static sap_status refuse_masks(const plan *p, sap_error *err) {
  for (size_t i = 0; p->masks && i < p->checkpoint->entry_count; i++) {
    const sap_tensor *tensor = &p->checkpoint->entries[i].tensor;
    if (p->masks[i] && sap_dtype_bits(tensor->dtype) < 8)
      return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, p->checkpoint, tensor->name, "a mask for elements of %u bits",
                             sap_dtype_bits(tensor->dtype));
  }
  return SAP_OK;
}

static sap_status run(plan *p, const char *path, sap_error *err) {
  sap__onnx_copies copies = {0};
  sap_status status = refuse_masks(p, err);
  if (!status) status = make_plan(p, err);
  if (!status && p->purpose == REWRITE) status = sap__onnx_copy_external(p->checkpoint, p->masks, path, &copies, err);
  if (!status) status = write_model(p, path, err);
  sap__onnx_copies_end(&copies, status != SAP_OK);
  sap__free(p->edits);
  sap__free(p->growth);
  return status;
}

sap_status sap__onnx_rewrite(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path,
                             sap_error *err) {
  plan p = {.checkpoint = checkpoint, .model = checkpoint->own, .masks = masks, .purpose = REWRITE};
  return run(&p, path, err);
}

sap_status sap__onnx_convert(sap_checkpoint *checkpoint, const uint64_t *const *masks, sap_encoding encoding,
                             const char *path, sap_error *err) {
  if (checkpoint->format != &sap__format_onnx)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED,
                     "%s: an ONNX file needs the graph: only a model in ONNX can be written as one, this is %s",
                     sap__path_tail(checkpoint->path), checkpoint->format->name);
  plan p = {.checkpoint = checkpoint,
            .model = checkpoint->own,
            .masks = masks,
            .purpose = encoding == SAP_ENCODING_SPARSE ? TO_SPARSE : TO_DENSE};
  return run(&p, path, err);
}
