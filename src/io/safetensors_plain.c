#include "io/safetensors_plain.h"

#include "base/memory.h"
#include "io/json_tree.h"
#include "io/safetensors.h"

/* TENSOR_BYTES: what a tensor takes of a header, at a guess. METADATA_MAX: keys that are compared each with each. */
enum { TENSOR_BYTES = 128, METADATA_MAX = 16 };

typedef struct scanner {
  const char *at;
  char *text, *end;
  const char *data;
  uint64_t expected; /* where the next tensor's data begin */
  sap__plain_header *header;
  int no_memory;
} scanner;

/* The text that begins at `at`, behind its quote, made NUL-terminated; NULL if it has escapes or ends nowhere. */
static const char *take_plain(scanner *s) {
  const char *const first = s->at;
  s->at = sap__scan_text(first);
  if (*s->at != '"') return NULL;
  s->text[s->at++ - s->text] = 0;
  return first;
}

static int read_shape(scanner *s, sap_tensor *tensor) {
  if (SAP__SCAN(&s->at, "]")) return 1;
  do {
    if (tensor->rank == SAP_TENSOR_MAX_RANK || !sap__scan_whole(&s->at, &tensor->shape[tensor->rank++])) return 0;
  } while (SAP__SCAN(&s->at, ","));
  return SAP__SCAN(&s->at, "]");
}

/* From behind the name on. A tensor without data may share its place with others, whose order is then another one. */
static int read_tensor(scanner *s, sap_tensor *tensor) {
  uint64_t begin, end;
  if (!SAP__SCAN(&s->at, ":{\"dtype\":\"")) return 0;
  const char *const dtype = s->at;
  while ((unsigned char)*s->at > '"') s->at++;
  tensor->dtype = sap_dtype_from_name(dtype, (size_t)(s->at - dtype));
  if (tensor->dtype == SAP_DTYPE_COUNT || !SAP__SCAN(&s->at, "\",\"shape\":[") || !read_shape(s, tensor) ||
      !SAP__SCAN(&s->at, ",\"data_offsets\":[") || !sap__scan_whole(&s->at, &begin) || !SAP__SCAN(&s->at, ",") ||
      !sap__scan_whole(&s->at, &end) || !SAP__SCAN(&s->at, "]}"))
    return 0;
  if (begin != s->expected || sap__tensor_size(tensor, &tensor->count, &tensor->bytes) || !tensor->bytes ||
      end < begin || end - begin != tensor->bytes)
    return 0;
  tensor->data = s->data + begin;
  s->expected = end;
  return 1;
}

static int add_tensor(scanner *s, const char *name) {
  sap__plain_header *header = s->header;
  if (!sap__make_room(&header->tensors, &header->room, header->count + 1, sizeof *header->tensors)) {
    s->no_memory = 1;
    return 0;
  }
  sap_tensor *tensor = &header->tensors[header->count++];
  *tensor = (sap_tensor){.name = name};
  return read_tensor(s, tensor);
}

static int add_pair(scanner *s) {
  sap__plain_header *header = s->header;
  char *at;
  if (header->metadata_count == METADATA_MAX || !SAP__SCAN(&s->at, "\"")) return 0;
  sap_metadata pair = {.key = take_plain(s)};
  if (!pair.key || !SAP__SCAN(&s->at, ":\"")) return 0;
  for (size_t i = 0; i < header->metadata_count; i++)
    if (!strcmp(header->metadata[i].key, pair.key)) return 0;
  at = s->text + (s->at - s->text);
  pair.value = sap__json_take_text(&at, s->end);
  s->at = at;
  header->metadata[header->metadata_count++] = pair;
  return pair.value != NULL;
}

static int read_metadata(scanner *s) {
  sap__plain_header *header = s->header;
  if (header->metadata || !SAP__SCAN(&s->at, ":{")) return 0;
  header->metadata = sap__alloc(METADATA_MAX, sizeof *header->metadata);
  s->no_memory = !header->metadata;
  if (s->no_memory) return 0;
  if (SAP__SCAN(&s->at, "}")) return 1;
  do {
    if (!add_pair(s)) return 0;
  } while (SAP__SCAN(&s->at, ","));
  return SAP__SCAN(&s->at, "}");
}

static int read_all(scanner *s) {
  if (!SAP__SCAN(&s->at, "{")) return 0;
  do {
    const char *name = SAP__SCAN(&s->at, "\"") ? take_plain(s) : NULL;
    if (!name || !(strcmp(name, SAP__METADATA) ? add_tensor(s, name) : read_metadata(s))) return 0;
  } while (SAP__SCAN(&s->at, ","));
  if (!SAP__SCAN(&s->at, "}")) return 0;
  while (*s->at == ' ') s->at++;
  return s->at == s->end;
}

int sap__plain_header_read(char *text, size_t size, const char *data, uint64_t data_size, int lenient,
                           sap__plain_header *header) {
  scanner s = {.at = text, .text = text, .end = text + size, .data = data, .header = header};
  *header = (sap__plain_header){0};
  s.no_memory = !sap__make_room(&header->tensors, &header->room, size / TENSOR_BYTES + 1, sizeof *header->tensors);
  if (!s.no_memory && read_all(&s) && (lenient ? s.expected <= data_size : s.expected == data_size)) return 1;
  sap__free(header->tensors);
  sap__free(header->metadata);
  *header = (sap__plain_header){0};
  return s.no_memory ? -1 : 0;
}
