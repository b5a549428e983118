#include "graph/graph_plain.h"

#include <string.h>

#include "base/error.h"
#include "graph/graph_fields.h"
#include "io/json_tree.h"

/* A real number that was read: a network has the same ones again and again. */
typedef struct known {
  const char *text;
  size_t length;
  double value;
} known;

typedef struct scanner {
  const char *at;
  sap__graph *graph;
  known reals[SAP__GRAPH_FIELDS];
  sap_status status; /* what a call that failed returned */
  sap_error *err;
} scanner;

/* A whole number in [least, most]. */
static int whole(scanner *s, int64_t least, int64_t most, int64_t *number) {
  uint64_t found;
  if (!sap__scan_whole(&s->at, &found) || (int64_t)found < least || (int64_t)found > most) return 0;
  *number = (int64_t)found;
  return 1;
}

/* A text of fewer than `room` bytes, from behind its quote to behind the next. */
static int text(scanner *s, char *to, size_t room) {
  const char *const first = s->at;
  s->at = sap__scan_text(first);
  const size_t length = (size_t)(s->at - first);
  if (*s->at != '"' || length >= room) return 0;
  memcpy(to, first, length);
  to[length] = 0;
  s->at++;
  return 1;
}

static int real(scanner *s, const sap__graph_field *f, double *value) {
  known *k = &s->reals[f - sap__graph_fields];
  const char next = k->length ? s->at[k->length] : 0;
  if ((next == ',' || next == '}') && !memcmp(s->at, k->text, k->length)) {
    s->at += k->length;
  } else {
    const char *const first = s->at;
    if (!sap__json_take_number(&s->at, &k->value)) return 0;
    k->text = first;
    k->length = (size_t)(s->at - first) < SAP__JSON_PADDING ? (size_t)(s->at - first) : 0;
  }
  *value = k->value;
  return *value >= (double)f->least && *value <= (double)f->most;
}

static int field(scanner *s, const sap__graph_field *f, sap__attributes *attributes) {
  char *at = (char *)attributes + f->offset;
  if (!SAP__SCAN(&s->at, ",\"") || !sap__scan_bytes(&s->at, f->key, strlen(f->key)) || !SAP__SCAN(&s->at, "\":"))
    return 0;
  if (f->type == SAP__GRAPH_REAL) return real(s, f, (double *)(void *)at);
  if (f->count > 1 && !SAP__SCAN(&s->at, "[")) return 0;
  for (int i = 0; i < f->count; i++) {
    int64_t number;
    if ((i && !SAP__SCAN(&s->at, ",")) || !whole(s, f->least, f->most, &number)) return 0;
    if (f->type == SAP__GRAPH_INT)
      ((int *)(void *)at)[i] = (int)number;
    else
      ((int64_t *)(void *)at)[i] = number;
  }
  return f->count == 1 || SAP__SCAN(&s->at, "]");
}

static int inputs_of(scanner *s, int count, int *inputs) {
  for (int i = 0; i < count; i++) {
    int64_t number;
    if ((i && !SAP__SCAN(&s->at, ",")) || !whole(s, 0, s->graph->value_count - 1, &number)) return 0;
    inputs[i] = (int)number;
  }
  return SAP__SCAN(&s->at, "]");
}

static int node(scanner *s) {
  char kind[SAP__NAME_SIZE], name[SAP__NAME_SIZE];
  int inputs[SAP__MAX_INPUTS], output;
  sap__attributes attributes = {0};
  sap__op op;
  if (!SAP__SCAN(&s->at, "{\"op\":\"") || !text(s, kind, sizeof kind) || !sap__graph_find_op(kind, strlen(kind), &op) ||
      !SAP__SCAN(&s->at, ",\"name\":\"") || !text(s, name, SAP__NAME_SIZE - 16) || !*name ||
      !SAP__SCAN(&s->at, ",\"inputs\":["))
    return 0;
  const int count = sap__op_info_of(op)->inputs;
  if (!inputs_of(s, count, inputs)) return 0;
  for (int f = 0; f < SAP__GRAPH_FIELDS; f++)
    if (sap__graph_fields[f].op == op && !field(s, &sap__graph_fields[f], &attributes)) return 0;
  if (!SAP__SCAN(&s->at, "}")) return 0;
  s->status = sap__graph_add(s->graph, op, name, attributes, inputs, count, &output, s->err);
  return !s->status;
}

static int nodes(scanner *s, size_t size) {
  /* The shortest nodes, which have no attributes, take half of that. */
  enum { NODE_BYTES = 96 };
  int count = 0;
  s->status = sap__graph_expect(s->graph, size / NODE_BYTES + 1, s->err);
  if (s->status) return 0;
  if (SAP__SCAN(&s->at, "]")) return 1;
  do {
    if (++count > SAP__GRAPH_NODES_MAX || !node(s)) return 0;
  } while (SAP__SCAN(&s->at, ","));
  return SAP__SCAN(&s->at, "]");
}

static int root(scanner *s, size_t size) {
  char model[SAP__MODEL_SIZE];
  sap__shape shape = {.rank = 3};
  int64_t classes, output;
  if (!SAP__SCAN(&s->at, "{\"version\":1,\"model\":\"") || !text(s, model, sizeof model) ||
      !SAP__SCAN(&s->at, ",\"input\":["))
    return 0;
  for (int i = 0; i < 3; i++)
    if ((i && !SAP__SCAN(&s->at, ",")) || !whole(s, 1, SAP__GRAPH_SIDE_MAX, &shape.dim[i])) return 0;
  if (!SAP__SCAN(&s->at, "],\"classes\":") || !whole(s, 1, SAP__GRAPH_SIDE_MAX, &classes) ||
      !SAP__SCAN(&s->at, ",\"nodes\":["))
    return 0;
  s->status = sap__graph_new(model, shape, (int)classes, &s->graph, s->err);
  if (s->status || !nodes(s, size) || !SAP__SCAN(&s->at, ",\"output\":") ||
      !whole(s, 0, s->graph->value_count - 1, &output) || !SAP__SCAN(&s->at, "}"))
    return 0;
  s->status = sap__graph_finish(s->graph, (int)output, s->err);
  return !s->status;
}

sap_status sap__graph_from_plain(const char *text, size_t size, sap__graph **graph, int *done, sap_error *err) {
  scanner s = {.at = text, .err = err};
  *done = root(&s, size) && s.at == text + size;
  if (*done) {
    *graph = s.graph;
    return SAP_OK;
  }
  sap__graph_free(s.graph);
  return s.status == SAP_ERROR_MEMORY ? s.status : SAP_OK;
}
