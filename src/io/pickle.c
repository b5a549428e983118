#include "io/pickle.h"

#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/pickle_names.h"

/* The longest pickle read. Every index below fits 32 bits. */
#define SIZE_LIMIT 100000000
#define MARK UINT32_MAX    /* on the stack */
#define NOTHING UINT32_MAX /* in the memo */

typedef struct machine {
  const uint8_t *bytes, *at, *end;
  const char *path;
  sap_error *err;
  sap__pickle_value *values;
  size_t value_count, value_room;
  sap__pickle_item *items;
  size_t item_count, item_room;
  uint32_t *stack;
  size_t depth, stack_room;
  uint32_t *memo; /* NOTHING where nothing was put */
  size_t memo_count, memo_room;
} machine;

#define FAIL(m, ...) sap__fail((m)->err, SAP_ERROR_FORMAT, __VA_ARGS__)

static sap_status fail_here(const machine *m, const char *what) {
  return FAIL(m, "%s: pickle at byte %td: %s", sap__path_tail(m->path), m->at - m->bytes, what);
}

/* Room for one more element than `count`. */
static sap_status reserve(machine *m, void *array, size_t count, size_t *room, size_t size) {
  if (count < *room) return SAP_OK;
  size_t larger = *room ? 2 * *room : 64;
  void *old, *block = sap__alloc(larger, size);
  if (!block) return sap__fail_memory(m->err, larger * size);
  memcpy(&old, array, sizeof old);
  if (count) memcpy(block, old, count * size);
  memcpy(array, &block, sizeof block);
  sap__free(old);
  *room = larger;
  return SAP_OK;
}

/* ---- values and the stack ---- */

static sap_status push(machine *m, uint32_t value) {
  sap_status code = reserve(m, &m->stack, m->depth, &m->stack_room, sizeof *m->stack);
  if (!code) m->stack[m->depth++] = value;
  return code;
}

static sap_status push_new(machine *m, sap__pickle_value value) {
  sap_status code = reserve(m, &m->values, m->value_count, &m->value_room, sizeof *m->values);
  if (code) return code;
  m->values[m->value_count] = value;
  return push(m, (uint32_t)m->value_count++);
}

static sap_status push_integer(machine *m, sap__pickle_kind kind, int64_t integer) {
  return push_new(m, (sap__pickle_value){.kind = kind, .integer = integer});
}

/* Takes the value on top. */
static sap_status pop(machine *m, uint32_t *value) {
  if (!m->depth || m->stack[m->depth - 1] == MARK) return fail_here(m, "the stack is empty, expected a value");
  *value = m->stack[--m->depth];
  return SAP_OK;
}

/* The place above the topmost mark. What is passed over on the way there is then taken from the stack. */
static sap_status find_mark(const machine *m, size_t *from) {
  size_t at = m->depth;
  while (at && m->stack[at - 1] != MARK) at--;
  if (!at) return fail_here(m, "no mark on the stack, expected one");
  *from = at;
  return SAP_OK;
}

static sap_status append(machine *m, uint32_t to, uint32_t key, uint32_t value) {
  sap_status code = reserve(m, &m->items, m->item_count, &m->item_room, sizeof *m->items);
  if (code) return code;
  uint32_t item = (uint32_t)m->item_count++;
  m->items[item] = (sap__pickle_item){.key = key, .value = value};
  sap__pickle_value *container = &m->values[to];
  if (container->last)
    m->items[container->last].next = item;
  else
    container->first = item;
  container->last = item;
  container->length++;
  return SAP_OK;
}

/* Appends stack[from, depth), in pairs for a dict, and takes them from the stack. */
static sap_status append_all(machine *m, uint32_t to, size_t from) {
  int pairs = m->values[to].kind == SAP__PICKLE_DICT;
  if (pairs && (m->depth - from) % 2) return fail_here(m, "a key without a value, expected pairs");
  sap_status code = SAP_OK;
  for (size_t i = from; !code && i < m->depth; i += pairs ? 2 : 1)
    code = append(m, to, pairs ? m->stack[i] : 0, m->stack[pairs ? i + 1 : i]);
  m->depth = from;
  return code;
}

/* A tuple of stack[from, depth), which it replaces there together with the `below` entries beneath. */
static sap_status make_tuple(machine *m, size_t from, size_t below) {
  sap_status code = reserve(m, &m->values, m->value_count, &m->value_room, sizeof *m->values);
  if (code) return code;
  uint32_t tuple = (uint32_t)m->value_count++;
  m->values[tuple] = (sap__pickle_value){.kind = SAP__PICKLE_TUPLE};
  code = append_all(m, tuple, from);
  m->depth -= below;
  return code ? code : push(m, tuple);
}

static sap_status small_tuple(machine *m, size_t count) {
  if (m->depth < count) return fail_here(m, "the stack is empty, expected a value");
  for (size_t i = m->depth - count; i < m->depth; i++)
    if (m->stack[i] == MARK) return fail_here(m, "a mark, expected a value");
  return make_tuple(m, m->depth - count, 0);
}

/* Items above the mark go to the container below it; without a mark, the topmost one or two. */
static sap_status extend(machine *m, sap__pickle_kind kind, int marked) {
  size_t from = 0, own = kind == SAP__PICKLE_DICT ? 2 : 1;
  if (marked) {
    sap_status code = find_mark(m, &from);
    if (code) return code;
  } else {
    if (m->depth < own + 1) return fail_here(m, "the stack is empty, expected a value");
    from = m->depth - own;
    for (size_t i = from; i < m->depth; i++)
      if (m->stack[i] == MARK) return fail_here(m, "a mark, expected a value");
  }
  size_t container = from - (marked ? 1 : 0);
  if (!container || m->stack[container - 1] == MARK || m->values[m->stack[container - 1]].kind != kind)
    return fail_here(m, kind == SAP__PICKLE_DICT ? "items for what is no dict" : "items for what is no list");
  sap_status code = append_all(m, m->stack[container - 1], from);
  m->depth = container;
  return code;
}

/* ---- reading operands ---- */

static sap_status take(machine *m, uint64_t size, const uint8_t **bytes) {
  if (size > (uint64_t)(m->end - m->at)) return fail_here(m, "ends early");
  *bytes = m->at;
  m->at += size;
  return SAP_OK;
}

static sap_status take_number(machine *m, int size, uint64_t *number) {
  const uint8_t *bytes = NULL;
  sap_status code = take(m, (uint64_t)size, &bytes);
  if (code) return code;
  *number = 0;
  for (int i = size - 1; i >= 0; i--) *number = *number << 8 | bytes[i];
  return SAP_OK;
}

/* A text or bytes whose length is a number of `size` bytes in front. */
static sap_status push_bytes(machine *m, int size, sap__pickle_kind kind) {
  uint64_t length = 0;
  const uint8_t *bytes = NULL;
  sap_status code = take_number(m, size, &length);
  if (!code) code = take(m, length, &bytes);
  if (code) return code;
  return push_new(m, (sap__pickle_value){.kind = kind, .length = (uint32_t)length, .text = (const char *)bytes});
}

/* A two's complement number of any length; one that does not fit 64 bits is no length of anything. */
static sap_status push_long(machine *m) {
  uint64_t length = 0;
  const uint8_t *bytes = NULL;
  sap_status code = take_number(m, 1, &length);
  if (!code) code = take(m, length, &bytes);
  if (code) return code;
  if (length > 8) return push(m, 0);
  uint64_t number = length && bytes[length - 1] & 0x80 ? UINT64_MAX : 0;
  for (uint64_t i = length; i-- > 0;) number = number << 8 | bytes[i];
  return push_integer(m, SAP__PICKLE_INTEGER, (int64_t)number);
}

static sap_status memo_put(machine *m, uint64_t index) {
  if (index >= (uint64_t)(m->end - m->bytes)) return fail_here(m, "a memo index beyond the pickle's size");
  if (!m->depth || m->stack[m->depth - 1] == MARK) return fail_here(m, "the stack is empty, expected a value");
  while (m->memo_count <= index) { /* at most as often as the pickle has bytes */
    sap_status code = reserve(m, &m->memo, m->memo_count, &m->memo_room, sizeof *m->memo);
    if (code) return code;
    m->memo[m->memo_count++] = NOTHING;
  }
  m->memo[index] = m->stack[m->depth - 1];
  return SAP_OK;
}

static sap_status memo_get(machine *m, int size) {
  uint64_t index = 0;
  sap_status code = take_number(m, size, &index);
  if (code) return code;
  if (index >= m->memo_count || m->memo[index] == NOTHING) return fail_here(m, "a memo index that was never set");
  return push(m, m->memo[index]);
}

static sap_status memo_put_at(machine *m, int size) {
  uint64_t index = 0;
  sap_status code = take_number(m, size, &index);
  return code ? code : memo_put(m, index);
}

/* ---- names and calls ---- */

static sap_status push_name(machine *m, const char *module, size_t module_length, const char *name,
                            size_t name_length) {
  sap__pickle_value value = sap__pickle_name(module, module_length, name, name_length);
  if (value.kind != SAP__PICKLE_OTHER) return push_new(m, value);
  return sap__fail(m->err, SAP_ERROR_UNSUPPORTED, "%s: holds %.*s.%.*s: only a state dict of tensors is read",
                   sap__path_tail(m->path), (int)(module_length < 60 ? module_length : 60), module,
                   (int)(name_length < 60 ? name_length : 60), name);
}

static sap_status take_line(machine *m, const char **line, size_t *length) {
  const uint8_t *end = m->at < m->end ? memchr(m->at, '\n', (size_t)(m->end - m->at)) : NULL;
  if (!end) return fail_here(m, "ends early");
  *line = (const char *)m->at;
  *length = (size_t)(end - m->at);
  m->at = end + 1;
  return SAP_OK;
}

static sap_status global(machine *m) {
  const char *module = NULL, *name = NULL;
  size_t module_length = 0, name_length = 0;
  sap_status code = take_line(m, &module, &module_length);
  if (!code) code = take_line(m, &name, &name_length);
  return code ? code : push_name(m, module, module_length, name, name_length);
}

static sap_status stack_global(machine *m) {
  uint32_t name = 0, module = 0;
  sap_status code = pop(m, &name);
  if (!code) code = pop(m, &module);
  if (code) return code;
  const sap__pickle_value *a = &m->values[module], *b = &m->values[name];
  if (a->kind != SAP__PICKLE_TEXT || b->kind != SAP__PICKLE_TEXT) return fail_here(m, "a name that is no text");
  return push_name(m, a->text, a->length, b->text, b->length);
}

static sap_status reduce(machine *m) {
  uint32_t arguments = 0, function = 0;
  sap_status code = pop(m, &arguments);
  if (!code) code = pop(m, &function);
  if (code) return code;
  const sap__pickle_value *called = &m->values[function], *tuple = &m->values[arguments];
  if (called->kind != SAP__PICKLE_CALL || tuple->kind != SAP__PICKLE_TUPLE)
    return fail_here(m, "a call of what is no function, or without arguments");
  switch (called->integer) {
    case SAP__CALL_DICT:
      if (tuple->length) return fail_here(m, "an OrderedDict with arguments, expected none");
      return push_new(m, (sap__pickle_value){.kind = SAP__PICKLE_DICT});
    case SAP__CALL_TENSOR_V2:
      return push_new(m, (sap__pickle_value){.kind = SAP__PICKLE_TENSOR, .first = arguments, .integer = 2});
    case SAP__CALL_TENSOR_V3:
      return push_new(m, (sap__pickle_value){.kind = SAP__PICKLE_TENSOR, .first = arguments, .integer = 3});
    case SAP__CALL_PARAMETER:
    case SAP__CALL_SIZE:
      if (!tuple->first) return fail_here(m, "a call without arguments");
      return push(m, m->items[tuple->first].value);
    default: return push(m, 0);
  }
}

static sap_status persistent_id(machine *m) {
  uint32_t id = 0;
  sap_status code = pop(m, &id);
  if (code) return code;
  if (m->values[id].kind != SAP__PICKLE_TUPLE) return fail_here(m, "a persistent id that is no tuple");
  return push_new(m, (sap__pickle_value){.kind = SAP__PICKLE_STORAGE, .first = id});
}

/* A dict's attributes (state dicts carry their modules' versions there) hold no tensors. */
static sap_status build(machine *m) {
  uint32_t state = 0;
  sap_status code = pop(m, &state);
  if (code) return code;
  if (!m->depth || m->stack[m->depth - 1] == MARK || m->values[m->stack[m->depth - 1]].kind != SAP__PICKLE_DICT)
    return fail_here(m, "attributes of what is no OrderedDict");
  return SAP_OK;
}

static sap_status tuple_to_mark(machine *m) {
  size_t from = 0;
  sap_status code = find_mark(m, &from);
  return code ? code : make_tuple(m, from, 1);
}

/* ---- the instructions ---- */

static sap_status push_binint(machine *m, int size) {
  uint64_t number = 0;
  sap_status code = take_number(m, size, &number);
  if (code) return code;
  return push_integer(m, SAP__PICKLE_INTEGER, size == 4 ? (int32_t)(uint32_t)number : (int64_t)number);
}

static sap_status skip(machine *m, uint64_t size) {
  const uint8_t *bytes = NULL;
  return take(m, size, &bytes);
}

static sap_status push_float(machine *m) {
  sap_status code = skip(m, 8);
  return code ? code : push(m, 0);
}

static sap_status protocol(machine *m) {
  uint64_t version = 0;
  sap_status code = take_number(m, 1, &version);
  if (code) return code;
  return version >= 2 && version <= 5 ? SAP_OK : fail_here(m, "a protocol that is not 2 to 5");
}

static sap_status step(machine *m, int instruction) {
  switch (instruction) {
    case 0x80: return protocol(m);
    case 0x95: return skip(m, 8); /* FRAME: a hint for readers of streams */
    case '(': return push(m, MARK);
    case 'N': return push(m, 0);
    case 0x88: return push_integer(m, SAP__PICKLE_BOOL, 1);
    case 0x89: return push_integer(m, SAP__PICKLE_BOOL, 0);
    case 'J': return push_binint(m, 4);
    case 'K': return push_binint(m, 1);
    case 'M': return push_binint(m, 2);
    case 0x8a: return push_long(m);
    case 'G': return push_float(m);
    case 'X': return push_bytes(m, 4, SAP__PICKLE_TEXT);
    case 0x8c: return push_bytes(m, 1, SAP__PICKLE_TEXT);
    case 0x8d: return push_bytes(m, 8, SAP__PICKLE_TEXT);
    case 'B': return push_bytes(m, 4, SAP__PICKLE_OTHER);
    case 'C': return push_bytes(m, 1, SAP__PICKLE_OTHER);
    case 0x8e: return push_bytes(m, 8, SAP__PICKLE_OTHER);
    case ')': return push_new(m, (sap__pickle_value){.kind = SAP__PICKLE_TUPLE});
    case ']': return push_new(m, (sap__pickle_value){.kind = SAP__PICKLE_LIST});
    case '}': return push_new(m, (sap__pickle_value){.kind = SAP__PICKLE_DICT});
    case 't': return tuple_to_mark(m);
    case 0x85: return small_tuple(m, 1);
    case 0x86: return small_tuple(m, 2);
    case 0x87: return small_tuple(m, 3);
    case 'a': return extend(m, SAP__PICKLE_LIST, 0);
    case 'e': return extend(m, SAP__PICKLE_LIST, 1);
    case 's': return extend(m, SAP__PICKLE_DICT, 0);
    case 'u': return extend(m, SAP__PICKLE_DICT, 1);
    case 'q': return memo_put_at(m, 1);
    case 'r': return memo_put_at(m, 4);
    case 0x94: return memo_put(m, m->memo_count);
    case 'h': return memo_get(m, 1);
    case 'j': return memo_get(m, 4);
    case 'c': return global(m);
    case 0x93: return stack_global(m);
    case 'Q': return persistent_id(m);
    case 'R': return reduce(m);
    case 'b': return build(m);
    default:
      return sap__fail(m->err, SAP_ERROR_UNSUPPORTED,
                       "%s: pickle at byte %td: instruction 0x%02x: only a state dict of tensors is read",
                       sap__path_tail(m->path), m->at - m->bytes - 1, (unsigned)instruction);
  }
}

static sap_status run(machine *m, uint32_t *root) {
  for (;;) {
    if (m->at == m->end) return fail_here(m, "ends early");
    int instruction = *m->at++;
    if (instruction == '.') return pop(m, root);
    sap_status code = step(m, instruction);
    if (code) return code;
  }
}

sap_status sap__pickle_read(sap__pickle *pickle, const uint8_t *bytes, size_t size, const char *path, sap_error *err) {
  machine m = {.bytes = bytes, .at = bytes, .end = bytes + size, .path = path, .err = err};
  *pickle = (sap__pickle){0};
  if (size > SIZE_LIMIT)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: pickle of %zu bytes, expected at most %d", sap__path_tail(path),
                     size, SIZE_LIMIT);
  sap_status code = reserve(&m, &m.values, 0, &m.value_room, sizeof *m.values);
  if (!code) code = reserve(&m, &m.items, 0, &m.item_room, sizeof *m.items);
  if (!code) {
    m.values[m.value_count++] = (sap__pickle_value){.kind = SAP__PICKLE_OTHER}; /* None */
    m.items[m.item_count++] = (sap__pickle_item){0};
    code = run(&m, &pickle->root);
  }
  sap__free(m.stack);
  sap__free(m.memo);
  pickle->values = m.values;
  pickle->items = m.items;
  if (code) sap__pickle_free(pickle);
  return code;
}

void sap__pickle_free(sap__pickle *pickle) {
  sap__free(pickle->values);
  sap__free(pickle->items);
  *pickle = (sap__pickle){0};
}
