/* From the values of a state dict's pickle to tensors, each checked against the storage that it lies in. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "io/file.h"
#include "io/pytorch.h"

#define U64(x) ((unsigned long long)(x))

/* Values may be shared, so a small pickle can hold a tree that is exponentially larger: what the walk may spend is
 * bound to the pickle's size, far above what a tree without sharing costs. */
enum { DEPTH_LIMIT = 32, NAME_LIMIT = 1024, COST = 16, COST_A_BYTE = 16, COST_FREE = 1 << 16, KEY_LIMIT = 128 };

typedef struct walk {
  sap_checkpoint *checkpoint;
  sap__pytorch *own;
  const sap__pickle *pickle;
  sap_error *err;
  uint64_t budget;
  size_t length;
  char name[NAME_LIMIT + 1]; /* of the value at hand */
} walk;

const sap__zip_member *sap__pytorch_member(const sap__pytorch *own, const char *name, size_t length) {
  char whole[2 * NAME_LIMIT];
  if (own->prefix_length > NAME_LIMIT || length > NAME_LIMIT) return NULL;
  memcpy(whole, own->prefix, own->prefix_length);
  memcpy(whole + own->prefix_length, name, length);
  return sap__zip_find(&own->zip, whole, own->prefix_length + length);
}

#define FAIL(w, code, ...) sap__fail_entry((w)->err, code, (w)->checkpoint, (w)->name, __VA_ARGS__)

/* ---- one tensor ---- */

/* The first `count` items of a tuple as values; missing ones as None. */
static void unpack(const sap__pickle *pickle, const sap__pickle_value *tuple, const sap__pickle_value **values,
                   int count) {
  uint32_t item = tuple->first;
  for (int i = 0; i < count; i++) {
    values[i] = &pickle->values[item ? pickle->items[item].value : 0];
    item = item ? pickle->items[item].next : 0;
  }
}

/* Lengths or strides. */
static sap_status read_tuple(const walk *w, const sap__pickle_value *tuple, uint64_t *numbers, const char *what) {
  const sap__pickle_value *values[SAP_TENSOR_MAX_RANK];
  if (tuple->kind != SAP__PICKLE_TUPLE) return FAIL(w, SAP_ERROR_FORMAT, "its %s is no tuple", what);
  if (tuple->length > SAP_TENSOR_MAX_RANK)
    return FAIL(w, SAP_ERROR_UNSUPPORTED, "rank %" PRIu32 ", expected at most %d", tuple->length, SAP_TENSOR_MAX_RANK);
  unpack(w->pickle, tuple, values, (int)tuple->length);
  for (uint32_t i = 0; i < tuple->length; i++) {
    if (values[i]->kind != SAP__PICKLE_INTEGER || values[i]->integer < 0)
      return FAIL(w, SAP_ERROR_FORMAT, "axis %" PRIu32 " has no valid %s", i, what);
    numbers[i] = (uint64_t)values[i]->integer;
  }
  return SAP_OK;
}

/* The member that holds the storage, and the type of its elements: ('storage', type, key, device, elements). */
static sap_status find_storage(const walk *w, const sap__pickle_value *storage, sap_dtype *dtype,
                               const sap__zip_member **member) {
  const sap__pickle_value *id[5];
  if (storage->kind != SAP__PICKLE_STORAGE) return FAIL(w, SAP_ERROR_FORMAT, "it has no storage");
  unpack(w->pickle, &w->pickle->values[storage->first], id, 5);
  if (id[0]->kind != SAP__PICKLE_TEXT || id[0]->length != 7 || memcmp(id[0]->text, "storage", 7) ||
      id[1]->kind != SAP__PICKLE_TYPE || id[2]->kind != SAP__PICKLE_TEXT || id[2]->length > KEY_LIMIT ||
      id[4]->kind != SAP__PICKLE_INTEGER || id[4]->integer < 0)
    return FAIL(w, SAP_ERROR_FORMAT, "its storage's id is not ('storage', type, key, device, size)");
  char key[8 + KEY_LIMIT] = "data/";
  memcpy(key + 5, id[2]->text, id[2]->length);
  *member = sap__pytorch_member(w->own, key, 5 + id[2]->length);
  int shown = (int)(id[2]->length < 30 ? id[2]->length : 30);
  if (!*member) return FAIL(w, SAP_ERROR_FORMAT, "its storage %.*s is not in the file", shown, id[2]->text);
  if ((*member)->method != SAP__ZIP_STORED)
    return FAIL(w, SAP_ERROR_UNSUPPORTED, "its storage %.*s is compressed, expected it stored as torch.save does",
                shown, id[2]->text);
  *dtype = (sap_dtype)id[1]->integer;
  uint64_t bytes, size = *dtype == SAP_DTYPE_COUNT ? 1 : sap_dtype_bits(*dtype) / 8;
  if (__builtin_mul_overflow((uint64_t)id[4]->integer, size, &bytes) || bytes > (*member)->size ||
      (bytes < (*member)->size && !w->checkpoint->options.lenient))
    return FAIL(w, SAP_ERROR_FORMAT, "its storage %.*s has %llu bytes, expected %lld elements of %llu", shown,
                id[2]->text, U64((*member)->size), (long long)id[4]->integer, U64(size));
  return SAP_OK;
}

/* Sets count, bytes and the view's offset; the tensor must lie inside its storage. */
static sap_status place(const walk *w, sap_tensor *tensor, sap__view *view, const sap__zip_member *member,
                        uint64_t first) {
  uint64_t size = sap_dtype_bits(tensor->dtype) / 8, extent, begin;
  tensor->count = 1;
  for (int axis = 0; axis < tensor->rank; axis++)
    if (__builtin_mul_overflow(tensor->count, tensor->shape[axis], &tensor->count))
      return FAIL(w, SAP_ERROR_FORMAT, "the shape's size overflows, expected it below 2^64");
  if (__builtin_mul_overflow(tensor->count, size, &tensor->bytes))
    return FAIL(w, SAP_ERROR_FORMAT, "the shape's size overflows, expected it below 2^64");
  if (sap__view_extent(view, tensor, &extent) || __builtin_mul_overflow(first, size, &begin) ||
      (tensor->count && (begin > member->size || extent > member->size - begin)))
    return FAIL(w, SAP_ERROR_FORMAT, "it runs past the %llu bytes of its storage, expected it within",
                U64(member->size));
  view->offset = member->data + (tensor->count ? begin : 0);
  return SAP_OK;
}

/* Describes the tensor and where it lies. */
static sap_status read_tensor(const walk *w, const sap__pickle_value *value, sap_tensor *tensor,
                              sap__pytorch_source *source) {
  const sap__pickle_value *arguments[7];
  const sap__pickle_value *tuple = &w->pickle->values[value->first];
  const sap__zip_member *member = NULL;
  uint64_t strides[SAP_TENSOR_MAX_RANK] = {0};
  unpack(w->pickle, tuple, arguments, 7);
  sap_status code = find_storage(w, arguments[0], &tensor->dtype, &member);
  if (code) return code;
  if (value->integer == 3) {
    if (arguments[6]->kind != SAP__PICKLE_TYPE) return FAIL(w, SAP_ERROR_FORMAT, "it has no type of elements");
    tensor->dtype = (sap_dtype)arguments[6]->integer;
  }
  if (tensor->dtype == SAP_DTYPE_COUNT) return FAIL(w, SAP_ERROR_FORMAT, "it has no type of elements");
  if (arguments[1]->kind != SAP__PICKLE_INTEGER || arguments[1]->integer < 0)
    return FAIL(w, SAP_ERROR_FORMAT, "it has no valid place in its storage");
  code = read_tuple(w, arguments[2], tensor->shape, "length");
  if (!code) code = read_tuple(w, arguments[3], strides, "stride");
  if (!code && arguments[2]->length != arguments[3]->length)
    code = FAIL(w, SAP_ERROR_FORMAT, "%" PRIu32 " lengths and %" PRIu32 " strides, expected as many",
                arguments[2]->length, arguments[3]->length);
  if (code) return code;
  tensor->rank = (int)arguments[2]->length;
  source->member = (uint32_t)(member - w->own->zip.members);
  source->view.swapped = w->own->swapped && sap_dtype_bits(tensor->dtype) > 8;
  memcpy(source->view.strides, strides, sizeof strides);
  return place(w, tensor, &source->view, member, (uint64_t)arguments[1]->integer);
}

static sap_status reserve_source(walk *w) {
  sap__pytorch *own = w->own;
  if (own->source_count < own->source_room) return SAP_OK;
  size_t room = own->source_room ? 2 * own->source_room : 64;
  sap__pytorch_source *larger = sap__calloc(room, sizeof *larger);
  if (!larger) return sap__fail_memory(w->err, room * sizeof *larger);
  if (own->source_count) memcpy(larger, own->sources, own->source_count * sizeof *larger);
  sap__free(own->sources);
  own->sources = larger;
  own->source_room = room;
  return SAP_OK;
}

static sap_status add_tensor(walk *w, const sap__pickle_value *value) {
  sap__entry *entry;
  sap_status code = reserve_source(w);
  if (!code) code = sap__checkpoint_add_entry(w->checkpoint, w->name, w->length, &entry, w->err);
  if (code) return code;
  sap__pytorch_source *source = &w->own->sources[w->own->source_count++];
  code = read_tensor(w, value, &entry->tensor, source);
  if (code) return code;
  entry->in_place = !source->view.swapped && sap__view_contiguous(&source->view, &entry->tensor);
  entry->offset = source->view.offset;
  return SAP_OK;
}

/* ---- dicts and lists ---- */

/* Appends a dot and the key to the name. */
static sap_status extend_name(walk *w, const sap__pickle_value *key, uint32_t position) {
  char number[24];
  const char *text = number;
  size_t length;
  if (key && key->kind == SAP__PICKLE_TEXT)
    text = key->text, length = key->length;
  else if (!key || key->kind == SAP__PICKLE_INTEGER)
    length = (size_t)snprintf(number, sizeof number, "%lld", key ? (long long)key->integer : (long long)position);
  else
    return FAIL(w, SAP_ERROR_UNSUPPORTED, "a key above tensors is neither text nor a whole number");
  if (length + 1 > NAME_LIMIT - w->length)
    return FAIL(w, SAP_ERROR_UNSUPPORTED, "a name below it is longer than %d bytes", NAME_LIMIT);
  if (w->length) w->name[w->length++] = '.';
  memcpy(w->name + w->length, text, length);
  w->name[w->length += length] = 0;
  if (strlen(w->name) != w->length || !sap__utf8_valid(w->name))
    return FAIL(w, SAP_ERROR_FORMAT, "the name is not UTF-8");
  return SAP_OK;
}

static int holds(const sap__pickle_value *value) {
  return value->kind == SAP__PICKLE_TENSOR || value->kind == SAP__PICKLE_DICT || value->kind == SAP__PICKLE_LIST ||
         value->kind == SAP__PICKLE_TUPLE;
}

static sap_status spend(walk *w, uint64_t cost) {
  if (cost > w->budget) return FAIL(w, SAP_ERROR_FORMAT, "shared dicts unfold beyond the pickle's size");
  w->budget -= cost;
  return SAP_OK;
}

/* All below a dict, list or tuple whose name is in w->name. */
static sap_status walk_items(walk *w, const sap__pickle_value *container, int depth) {
  size_t length = w->length;
  if (depth == DEPTH_LIMIT)
    return FAIL(w, SAP_ERROR_UNSUPPORTED, "dicts nested deeper than %d, expected fewer", DEPTH_LIMIT);
  sap_status code = SAP_OK;
  uint32_t position = 0;
  for (uint32_t at = container->first; !code && at; at = w->pickle->items[at].next, position++) {
    const sap__pickle_item *item = &w->pickle->items[at];
    const sap__pickle_value *value = &w->pickle->values[item->value];
    code = spend(w, COST);
    if (code || !holds(value)) continue;
    if (value->kind != SAP__PICKLE_TENSOR && !value->length) continue;
    code = extend_name(w, container->kind == SAP__PICKLE_DICT ? &w->pickle->values[item->key] : NULL, position);
    if (!code) code = spend(w, w->length);
    if (!code) code = value->kind == SAP__PICKLE_TENSOR ? add_tensor(w, value) : walk_items(w, value, depth + 1);
    w->name[w->length = length] = 0;
  }
  return code;
}

/* The file's name without its ending, for a tensor that has no other. */
static sap_status name_by_file(walk *w) {
  const char *slash = strrchr(w->checkpoint->path, '/'), *stem = slash ? slash + 1 : w->checkpoint->path;
  const char *dot = strrchr(stem, '.');
  size_t length = dot && dot > stem ? (size_t)(dot - stem) : strlen(stem);
  return extend_name(w, &(sap__pickle_value){.kind = SAP__PICKLE_TEXT, .length = (uint32_t)length, .text = stem}, 0);
}

sap_status sap__pytorch_walk(sap_checkpoint *checkpoint, const sap__pickle *pickle, uint64_t size, sap_error *err) {
  const sap__pickle_value *root = &pickle->values[pickle->root];
  if (!holds(root))
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: neither a tensor nor a state dict, expected one",
                     sap__path_tail(checkpoint->path));
  walk *w = sap__calloc(1, sizeof *w);
  if (!w) return sap__fail_memory(err, sizeof *w);
  w->checkpoint = checkpoint;
  w->own = checkpoint->own;
  w->pickle = pickle;
  w->err = err;
  w->budget = COST_FREE + COST_A_BYTE * size;
  sap_status code;
  if (root->kind == SAP__PICKLE_TENSOR) {
    code = name_by_file(w);
    if (!code) code = add_tensor(w, root);
  } else {
    code = walk_items(w, root, 0);
  }
  sap__free(w);
  return code;
}
