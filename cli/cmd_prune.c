/* sapwood prune: one pruning step on a checkpoint. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "ends.h"
#include "sapwood/pqi.h"
#include "sapwood/prune.h"
#include "tensors.h"
#include "terminal.h"

/* What the command line asks for. */
typedef struct prune_request {
  sap_prune_options options;
  unsigned keep, of; /* the pattern N:M; 0: none */
  const char *input, *output, *mask_in;
  char *mask_out; /* owned; NULL: no mask is written */
  int dry_run, json;
} prune_request;

/* What one tensor loses. */
typedef struct loss {
  uint64_t before, after;
  int guarded, degenerate;
} loss;

/* ---- options ---- */

static const char *method_name_at(size_t i) {
  static const char *const names[] = {"sap", "ratio", NULL};
  return names[i];
}

static int read_pattern(const char *self, const char *text, prune_request *request) {
  int end = 0;
  if (!text) return EXIT_DONE;
  if (sscanf(text, "%2u:%2u%n", &request->keep, &request->of, &end) == 2 && !text[end] && request->keep >= 1 &&
      request->keep < request->of && request->of <= 64)
    return EXIT_DONE;
  return usage_error(self, "--nm %s: expected N:M with 1 <= N < M <= 64", text);
}

/* The method and its one number: --ratio and --density each mean the method ratio. */
static int read_method(const char *self, const arguments *parsed, prune_request *request) {
  sap_prune_options *o = &request->options;
  const int ratio = option_given(parsed, "ratio"), density = option_given(parsed, "density");
  int method = ratio || density;
  int code = option_word(self, parsed, "method", method_name_at, &method);
  if (code == EXIT_DONE) code = option_real(self, parsed, "ratio", &o->ratio);
  if (code == EXIT_DONE) code = option_real(self, parsed, "density", &o->density);
  if (code != EXIT_DONE) return code;
  o->method = method ? SAP_METHOD_LT : SAP_METHOD_SAP;
  if (density && !(o->density > 0 && o->density <= 1))
    return usage_error(self, "--density %s: expected 0 < density <= 1", option_value(parsed, "density"));
  if (!method && (ratio || density))
    return usage_error(self, "--%s: only for --method ratio", ratio ? "ratio" : "density");
  if (ratio && density) return usage_error(self, "--ratio and --density: expected one of them");
  if (request->of && (ratio || density || option_given(parsed, "method")))
    return usage_error(self, "--nm: takes no --method, --ratio or --density");
  return EXIT_DONE;
}

/* The mask's place: --mask-out, or the output's name with an ending. */
static int read_mask_out(const char *self, const arguments *parsed, prune_request *request) {
  static const char ending[] = ".mask.safetensors";
  const char *given = option_value(parsed, "mask-out");
  if (given && option_given(parsed, "no-mask"))
    return usage_error(self, "--mask-out and --no-mask: expected one of them");
  if (option_given(parsed, "no-mask") || (!given && !request->output)) return EXIT_DONE;
  size_t length = strlen(given ? given : request->output);
  while (!given && length > 1 && request->output[length - 1] == '/') length--; /* beside a folder, not in it */
  request->mask_out = malloc(length + sizeof ending);
  if (!request->mask_out) return failure(self, "no memory for a name");
  memcpy(request->mask_out, given ? given : request->output, length);
  strcpy(request->mask_out + length, given ? "" : ending);
  return EXIT_DONE;
}

static int read_request(const char *self, const arguments *parsed, prune_request *request) {
  if (parsed->operand_count == 0) return usage_error(self, "a file is needed");
  *request = (prune_request){.options = sap_prune_options_default(),
                             .input = parsed->operands[0],
                             .output = option_value(parsed, "output"),
                             .mask_in = option_value(parsed, "mask-in"),
                             .dry_run = option_given(parsed, "dry-run"),
                             .json = option_given(parsed, "json")};
  int code = read_pattern(self, option_value(parsed, "nm"), request);
  if (code == EXIT_DONE) code = read_method(self, parsed, request);
  if (code == EXIT_DONE) code = index_options(self, parsed, &request->options);
  if (code != EXIT_DONE) return code;
  if (!request->dry_run && (!request->output || !*request->output))
    return usage_error(self, "missing: -o OUT (or --dry-run)");
  return read_mask_out(self, parsed, request);
}

static int check_outputs(const char *self, const arguments *parsed, const prune_request *request) {
  const char *const inputs[] = {request->input, request->output};
  if (request->dry_run) return EXIT_DONE;
  const int code = output_check(self, parsed, request->output, inputs, 1);
  if (code != EXIT_DONE || !request->mask_out) return code;
  if (strcmp(request->mask_out, request->output) == 0)
    return failure(self, "%s: the mask's place is the output's, expected another", request->mask_out);
  return output_check(self, parsed, request->mask_out, inputs, 2);
}

/* ---- the step ---- */

static sap_status prune_by_pattern(const prune_request *request, const tensors *chosen, loss *losses, sap_error *err) {
  const sap_status status = sap_prune_pattern(chosen->layers, chosen->count, request->keep, request->of, NULL, err);
  for (size_t i = 0; i < chosen->count && status == SAP_OK; i++)
    losses[i].after = sap_mask_count(chosen->layers[i].mask, chosen->layers[i].count);
  return status;
}

static sap_status prune_by_method(const prune_request *request, const tensors *chosen, loss *losses, sap_error *err) {
  sap_decision *decision = NULL;
  const sap_status status = sap_prune_decide(chosen->layers, chosen->count, &request->options, &decision, err);
  if (status != SAP_OK) return status;
  sap_prune_apply(chosen->layers, chosen->count, decision);
  for (size_t i = 0; i < chosen->count; i++) {
    losses[i].after = decision->changes[i].kept_after;
    losses[i].guarded = decision->changes[i].guarded;
    losses[i].degenerate = decision->changes[i].degenerate;
  }
  sap_decision_free(decision);
  return SAP_OK;
}

static int prune_step(const char *self, const prune_request *request, const tensors *chosen, loss *losses) {
  sap_error err;
  for (size_t i = 0; i < chosen->count; i++)
    losses[i].before = sap_mask_count(chosen->layers[i].mask, chosen->layers[i].count);
  const sap_status status =
      request->of ? prune_by_pattern(request, chosen, losses, &err) : prune_by_method(request, chosen, losses, &err);
  return status == SAP_OK ? EXIT_DONE : failure(self, "%s: %s", request->input, err.text);
}

/* The file first: a mask without it would say something about nothing. */
static int write_outputs(const char *self, const prune_request *request, const tensors *chosen) {
  const uint64_t **masks = calloc(sap_checkpoint_count(chosen->file) + 1, sizeof *masks);
  if (!masks) return failure(self, "no memory for a list of masks");
  for (size_t i = 0; i < chosen->count; i++) masks[chosen->places[i]] = chosen->layers[i].mask;
  sap_error err;
  const sap_status status = sap_checkpoint_rewrite(chosen->file, masks, request->output, &err);
  free(masks);
  if (status != SAP_OK) return failure(self, "%s", err.text);
  return request->mask_out ? tensors_write_masks(self, chosen, request->mask_out) : EXIT_DONE;
}

/* ---- showing ---- */

/* 1 if a tensor that was in a sparse form is dense in the output: all are then. */
static int became_dense(const prune_request *request, const tensors *chosen) {
  sap_checkpoint *output = NULL;
  const size_t count = sap_checkpoint_count(chosen->file);
  uint64_t bytes;
  size_t i = 0;
  while (i < count && strcmp(sap_checkpoint_stored(chosen->file, i, &bytes), "sparse") != 0) i++;
  if (i == count || sap_checkpoint_open(request->output, NULL, &output, NULL) != SAP_OK) return 0;
  const size_t place = sap_checkpoint_find(output, sap_checkpoint_at(chosen->file, i)->name);
  const char *form = sap_checkpoint_stored(output, place, &bytes);
  const int dense = form && strcmp(form, "dense") == 0;
  sap_checkpoint_close(output);
  return dense;
}

static double share_of(uint64_t part, uint64_t whole) { return whole ? (double)part / (double)whole : 0; }

static loss sum_losses(const tensors *chosen, const loss *losses) {
  loss sum = {0};
  for (size_t i = 0; i < chosen->count; i++) {
    sum.before += losses[i].before;
    sum.after += losses[i].after;
  }
  return sum;
}

static void print_numbers(uint64_t count, const loss *l) {
  char before[32], after[32], weights[32];
  printf(" %15s %15s %15s %7.2f %% %7.2f %%", group_digits(count, weights), group_digits(l->before, before),
         group_digits(l->after, after), 100 * share_of(l->before - l->after, l->before),
         100 * share_of(l->after, count));
}

static void print_table(const prune_request *request, const tensors *chosen, const loss *losses) {
  const int width = tensors_name_width(chosen, 6);
  char shape[200];
  printf("%-*s  %-8s %-16s %15s %15s %15s %9s %9s\n", width, "tensor", "dtype", "shape", "weights", "kept before",
         "kept", "pruned", "density");
  for (size_t i = 0; i < chosen->count; i++) {
    const sap_layer *layer = &chosen->layers[i];
    name_print(layer->name, width);
    printf("  %-8s %-16s", sap_dtype_name(layer->dtype),
           shape_text(sap_checkpoint_at(chosen->file, chosen->places[i]), shape, sizeof shape));
    print_numbers(layer->count, &losses[i]);
    puts(losses[i].guarded ? "  one weight stays" : losses[i].degenerate ? "  nothing to measure" : "");
  }
  const loss sum = sum_losses(chosen, losses);
  printf("%-*s  %-8s %-16s", width, "all", "", "");
  print_numbers(chosen->weights, &sum);
  printf("\n\n");
  left_out_print(&chosen->out);
  if (request->dry_run)
    puts("dry run: nothing was written");
  else
    printf("written: %s%s%s%s\n", request->output, became_dense(request, chosen) ? ", whose tensors are all dense" : "",
           request->mask_out ? "; mask: " : "", request->mask_out ? request->mask_out : "");
}

static void add_numbers(json_t *object, uint64_t count, const loss *l) {
  json_object_set_new(object, "count", json_integer((json_int_t)count));
  json_object_set_new(object, "kept_before", json_integer((json_int_t)l->before));
  json_object_set_new(object, "kept", json_integer((json_int_t)l->after));
  json_object_set_new(object, "pruned", json_integer((json_int_t)(l->before - l->after)));
  json_object_set_new(object, "density", json_number(share_of(l->after, count)));
}

static json_t *settings_json(const prune_request *request) {
  const sap_prune_options *o = &request->options;
  json_t *object = json_object();
  if (request->of) {
    json_object_set_new(object, "nm", json_sprintf("%u:%u", request->keep, request->of));
    return object;
  }
  json_object_set_new(object, "method", json_string(o->method == SAP_METHOD_SAP ? "sap" : "ratio"));
  json_object_set_new(object, "scope", json_string(sap_scope_name(o->scope)));
  if (o->method == SAP_METHOD_SAP) {
    json_object_set_new(object, "p", json_number(o->p));
    json_object_set_new(object, "q", json_number(o->q));
    json_object_set_new(object, "eta", json_number(o->eta));
    json_object_set_new(object, "gamma", json_number(o->gamma));
    json_object_set_new(object, "beta", json_number(o->beta));
  } else if (o->density > 0) {
    json_object_set_new(object, "density", json_number(o->density));
  } else {
    json_object_set_new(object, "ratio", json_number(o->ratio));
  }
  return object;
}

static json_t *text_or_null(const char *text) { return text ? json_string(text) : json_null(); }

static void print_json(const prune_request *request, const tensors *chosen, const loss *losses) {
  json_t *document = json_object(), *all = json_object(), *list = json_array();
  const loss sum = sum_losses(chosen, losses);
  add_numbers(all, chosen->weights, &sum);
  for (size_t i = 0; i < chosen->count; i++) {
    const sap_layer *layer = &chosen->layers[i];
    json_t *object = json_object();
    json_object_set_new(object, "name", json_string(layer->name));
    json_object_set_new(object, "dtype", json_string(sap_dtype_name(layer->dtype)));
    json_object_set_new(object, "shape", shape_json(sap_checkpoint_at(chosen->file, chosen->places[i])));
    add_numbers(object, layer->count, &losses[i]);
    json_object_set_new(object, "guarded", json_boolean(losses[i].guarded));
    json_object_set_new(object, "degenerate", json_boolean(losses[i].degenerate));
    json_array_append_new(list, object);
  }
  json_object_set_new(document, "file", json_string(request->input));
  json_object_set_new(document, "output", text_or_null(request->dry_run ? NULL : request->output));
  json_object_set_new(document, "mask", text_or_null(request->dry_run ? NULL : request->mask_out));
  json_object_set_new(document, "settings", settings_json(request));
  json_object_set_new(document, "global", all);
  json_object_set_new(document, "tensors", list);
  json_object_set_new(document, "left_out", left_out_json(&chosen->out));
  output_json(document);
  json_decref(document);
}

/* ---- the command ---- */

static int prune_file(const char *self, const arguments *parsed, const prune_request *request) {
  tensors chosen = {0};
  sap_checkpoint *file = NULL;
  loss *losses = NULL;
  ends_watch(self, request->input);
  int code = tensors_open(self, parsed, request->input, &file);
  if (code != EXIT_DONE) return code;
  code = tensors_choose(self, parsed, file, &chosen);
  if (code == EXIT_DONE)
    code = request->mask_in ? tensors_read_masks(self, request->mask_in, &chosen) : tensors_make_masks(self, &chosen);
  if (code == EXIT_DONE && !(losses = calloc(chosen.count, sizeof *losses)))
    code = failure(self, "no memory for %zu tensors", chosen.count);
  if (code == EXIT_DONE) code = prune_step(self, request, &chosen, losses);
  if (code == EXIT_DONE && !request->dry_run) code = write_outputs(self, request, &chosen);
  if (code == EXIT_DONE) {
    if (request->json)
      print_json(request, &chosen, losses);
    else
      print_table(request, &chosen, losses);
  }
  free(losses);
  tensors_free(&chosen);
  return code;
}

static int prune(const command *self, const arguments *parsed) {
  prune_request request = {0};
  int code = read_request(self->name, parsed, &request);
  if (code == EXIT_DONE) code = check_outputs(self->name, parsed, &request);
  if (code == EXIT_DONE) code = prune_file(self->name, parsed, &request);
  free(request.mask_out);
  return code;
}

static const option options[] = {
    {'o', "output", "OUT", NULL, "the file to write, in the format of IN; of shards a new folder"},
    {0, "method", "M", "sap or ratio", "how many weights go: by the index, or a fixed share; without it sap"},
    {0, "ratio", "X", "0 <= ratio < 1", "prune this share of the kept weights (method ratio)"},
    {0, "density", "D", "0 < density <= 1", "keep this share of all weights (method ratio)"},
    {0, "nm", "N:M", "1 <= N < M <= 64", "keep the N largest of every M weights of a row instead"},
    INDEX_OPTIONS,
    TENSOR_OPTIONS,
    {0, "mask-in", "F|zeros", NULL, "go on from the masks in this file, or from the weights that are 0"},
    {0, "mask-out", "F", NULL, "where the masks go; without it OUT.mask.safetensors"},
    {0, "no-mask", NULL, NULL, "write no masks"},
    {0, "dry-run", NULL, NULL, "write nothing, only show what would go"},
    {'f', "force", NULL, NULL, "overwrite outputs that exist"},
    {0, "json", NULL, NULL, "print one JSON document"},
    {0, NULL, NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood prune model.safetensors -o pruned.safetensors", "one step of SAP, as much as the index allows"},
    {"sapwood prune pruned.safetensors --mask-in pruned.safetensors.mask.safetensors -o again.safetensors",
     "a second step on the weights that are left"},
    {"sapwood prune model.onnx --density 0.1 -o tenth.onnx", "keep the largest tenth of the weights"},
    {NULL, NULL},
};

const command command_prune = {
    .name = "prune",
    .computes = 1,
    .summary = "prune the weights in a file, one step",
    .synopsis = "IN -o OUT [options]",
    .text =
        "Decides which weights of a checkpoint go, those of smallest magnitude, and writes the file again with zeros "
        "in their place: same format, names, order, types and metadata; tensors in a layout of compressed-tensors "
        "become dense. Tensors count as they do for 'measure'. "
        "Of shards (a file *.safetensors.index.json, or its folder) OUT becomes a new folder with the index and the "
        "files that it names. "
        "The masks are kept in a safetensors file of U8 tensors NAME.mask, eight weights a byte, the lowest bit "
        "first, 1 for kept; --mask-in takes such a file, and those of a run directory. A row is one neuron: the "
        "first axis of the tensor, the others flattened.",
    .options = options,
    .operands = 1,
    .examples = examples,
    .run = prune,
};
