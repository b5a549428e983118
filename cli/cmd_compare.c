/* sapwood compare: whether two checkpoints hold the same. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "ends.h"
#include "sapwood/difference.h"
#include "sapwood/mask.h"
#include "tensors.h"
#include "terminal.h"

/* What came out for one tensor. */
typedef enum outcome { SAME, WITHIN, VALUES, MASKS, DTYPE, SHAPE, ONLY_A, ONLY_B } outcome;

static const char *const outcome_names[] = {"equal", "within", "values", "masks", "dtype", "shape", "only_a", "only_b"};

typedef struct comparison {
  const char *self;
  sap_checkpoint *files[2];
  double tolerance;
  int json;
  json_t *list;
  size_t different, tensors;
  uint64_t elements;
  double largest;
} comparison;

static void describe(const sap_tensor *a, const sap_tensor *b, outcome what, const sap_difference *d) {
  char shape_a[200], shape_b[200], digits[3][32];
  name_print(a ? a->name : b->name, 0);
  switch (what) {
    case ONLY_A: puts(": only in the first"); break;
    case ONLY_B: puts(": only in the second"); break;
    case DTYPE: printf(": %s, %s\n", sap_dtype_name(a->dtype), sap_dtype_name(b->dtype)); break;
    case SHAPE:
      printf(": shape %s, %s\n", shape_text(a, shape_a, sizeof shape_a), shape_text(b, shape_b, sizeof shape_b));
      break;
    case MASKS: puts(": same values, other masks"); break;
    default:
      printf(": %s of %s differ, by at most %g at index %" PRIu64, group_digits(d->differing, digits[0]),
             group_digits(a->count, digits[1]), d->largest, d->index);
      if (d->pattern) printf("; %s are 0 in one only", group_digits(d->pattern, digits[2]));
      putchar('\n');
  }
}

static void note(comparison *c, const sap_tensor *a, const sap_tensor *b, outcome what, const sap_difference *d) {
  c->tensors++;
  c->elements += a ? a->count : b->count;
  if (what != SAME && what != WITHIN) c->different++;
  if (d && d->largest > c->largest) c->largest = d->largest;
  if (!c->json) {
    if (what != SAME) describe(a, b, what, d);
    return;
  }
  json_t *object = json_object();
  json_object_set_new(object, "name", json_string(a ? a->name : b->name));
  json_object_set_new(object, "result", json_string(outcome_names[what]));
  if (d) {
    json_object_set_new(object, "count", json_integer((json_int_t)a->count));
    json_object_set_new(object, "differing", json_integer((json_int_t)d->differing));
    json_object_set_new(object, "beyond", json_integer((json_int_t)d->beyond));
    json_object_set_new(object, "zeros_differ", json_integer((json_int_t)d->pattern));
    json_object_set_new(object, "largest", json_number(d->largest));
    json_object_set_new(object, "index", d->differing ? json_integer((json_int_t)d->index) : json_null());
  }
  json_array_append_new(c->list, object);
}

/* 1 if the masks that the files carry for a tensor of both say the same; a file without one says nothing. */
static int masks_agree(const comparison *c, const size_t places[2], uint64_t count) {
  const uint64_t *a = sap_checkpoint_mask(c->files[0], places[0]), *b = sap_checkpoint_mask(c->files[1], places[1]);
  return !a || !b || memcmp(a, b, sap_mask_words(count) * sizeof *a) == 0;
}

static int compare_tensor(comparison *c, const size_t places[2]) {
  const sap_tensor *a = sap_checkpoint_at(c->files[0], places[0]), *b = sap_checkpoint_at(c->files[1], places[1]);
  if (a->dtype != b->dtype) {
    note(c, a, b, DTYPE, NULL);
    return EXIT_DONE;
  }
  if (a->rank != b->rank || memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) != 0) {
    note(c, a, b, SHAPE, NULL);
    return EXIT_DONE;
  }
  unsigned mapped = 0;
  for (int k = 0; k < 2; k++) {
    sap_error err;
    if (sap_checkpoint_load(c->files[k], places[k], &err) != SAP_OK) return failure(c->self, "%s", err.text);
    mapped |= (unsigned)(sap_checkpoint_mapped(c->files[k], places[k]) != 0) << k;
  }
  const sap_difference d = sap_difference_find(a->dtype, a->data, b->data, a->count, c->tolerance, mapped);
  const outcome values = d.beyond ? VALUES : d.differing ? WITHIN : SAME;
  note(c, a, b, values == VALUES || masks_agree(c, places, a->count) ? values : MASKS, &d);
  return EXIT_DONE;
}

static int compare_files(comparison *c) {
  const size_t count_a = sap_checkpoint_count(c->files[0]), count_b = sap_checkpoint_count(c->files[1]);
  int code = EXIT_DONE;
  for (size_t i = 0; i < count_a && code == EXIT_DONE; i++) {
    const sap_tensor *a = sap_checkpoint_at(c->files[0], i);
    const size_t places[2] = {i, sap_checkpoint_find(c->files[1], a->name)};
    if (places[1] == count_b)
      note(c, a, NULL, ONLY_A, NULL);
    else
      code = compare_tensor(c, places);
  }
  for (size_t i = 0; i < count_b && code == EXIT_DONE; i++) {
    const sap_tensor *b = sap_checkpoint_at(c->files[1], i);
    if (sap_checkpoint_find(c->files[0], b->name) == count_a) note(c, NULL, b, ONLY_B, NULL);
  }
  return code;
}

static void print_result(const comparison *c, const arguments *parsed) {
  char tensors_text[32], elements[32];
  if (c->json) {
    json_t *document = json_object();
    json_object_set_new(document, "a", json_string(parsed->operands[0]));
    json_object_set_new(document, "b", json_string(parsed->operands[1]));
    json_object_set_new(document, "tolerance", json_number(c->tolerance));
    json_object_set_new(document, "equal", json_boolean(c->different == 0));
    json_object_set_new(document, "largest", json_number(c->largest));
    json_object_set(document, "tensors", c->list);
    output_json(document);
    json_decref(document);
    return;
  }
  group_digits(c->tensors, tensors_text);
  if (c->different)
    printf("different: %zu of %s tensors\n", c->different, tensors_text);
  else if (c->largest > 0)
    printf("equal within %g: %s tensors, largest difference %g\n", c->tolerance, tensors_text, c->largest);
  else
    printf("equal: %s tensors, %s elements\n", tensors_text, group_digits(c->elements, elements));
}

static int compare(const command *self, const arguments *parsed) {
  comparison c = {.self = self->name, .json = option_given(parsed, "json")};
  if (parsed->operand_count < 2) return usage_error(self->name, "two files are needed");
  int code = option_real(self->name, parsed, "tolerance", &c.tolerance);
  if (code != EXIT_DONE) return code;
  if (c.tolerance < 0)
    return usage_error(self->name, "--tolerance %s: expected 0 <= tolerance", option_value(parsed, "tolerance"));
  ends_watch(self->name, "one of the files");
  c.list = json_array();
  for (int k = 0; k < 2 && code == EXIT_DONE; k++)
    code = tensors_open(self->name, parsed, parsed->operands[k], &c.files[k]);
  if (code == EXIT_DONE) code = compare_files(&c);
  if (code == EXIT_DONE) {
    print_result(&c, parsed);
    if (c.different) code = EXIT_FAILED;
  }
  sap_checkpoint_close(c.files[0]);
  sap_checkpoint_close(c.files[1]);
  json_decref(c.list);
  return code;
}

static const option options[] = {
    {0, "tolerance", "X", "0 <= tolerance", "values that differ by at most X count as equal; without it 0"},
    OPEN_OPTIONS,
    {0, "json", NULL, NULL, "print one JSON document"},
    {0, NULL, NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood compare model.safetensors model.npz", "prove that a conversion lost nothing"},
    {NULL, NULL},
};

const command command_compare = {
    .name = "compare",
    .computes = 1,
    .summary = "whether two checkpoints hold the same tensors",
    .synopsis = "A B [options]",
    .text =
        "Compares two checkpoints of any formats, tensor by tensor: names, types, shapes, values, and the masks that "
        "sparse formats carry. Prints what differs, the largest difference and where it is. Exit status 0 if they "
        "are equal, 1 if not. 0 and -0 are equal, and so are two NaNs.",
    .options = options,
    .operands = 2,
    .examples = examples,
    .run = compare,
};
