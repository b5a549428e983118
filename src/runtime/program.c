#include "runtime/program.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* What compiling keeps of the graph. */
typedef struct compiler {
  const sap__graph *graph;
  const sap__kept_weights *weights;
  sap__program *program;
  int *names; /* (values) the value that a view is another name of */
  char *made; /* (values) 1: some layer writes it, or it is the input */
} compiler;

const char *sap__layer_kind_name(sap__layer_kind kind) {
  static const char *const text[] = {
#define SAP__LAYER_NAME(constant, name) name,
      SAP__LAYER_LIST(SAP__LAYER_NAME)
#undef SAP__LAYER_NAME
  };
  return text[kind];
}

/* The one node that reads a value; NULL if there are several or it is the loss. */
static const sap__node *only_reader(const compiler *c, int value) {
  const sap__value *v = &c->graph->values[value];
  const sap__node *reader = v->readers == 1 ? &c->graph->nodes[v->reader] : NULL;
  return reader && !sap__op_info_of(reader->op)->is_loss ? reader : NULL;
}

static sap__picture picture_of(const sap__shape *shape) {
  if (shape->rank == 1) return (sap__picture){(int)shape->dim[0], 1, 1};
  return (sap__picture){(int)shape->dim[0], (int)shape->dim[1], (int)shape->dim[2]};
}

static int same_picture(const compiler *c, int a, int b) {
  return memcmp(&c->program->values[a], &c->program->values[b], sizeof(sap__picture)) == 0;
}

static void cover(const compiler *c, const sap__node *node, sap__layer *layer) {
  c->program->layer_of[node - c->graph->nodes] = (int)(layer - c->program->layers);
  layer->output = node->output;
}

/* Takes a ReLU that follows alone. */
static void take_relu(const compiler *c, sap__layer *layer) {
  const sap__node *next = only_reader(c, layer->output);
  if (!next || next->op != SAP_OP_RELU) return;
  layer->relu = 1;
  cover(c, next, layer);
}

/* Takes batch norm, add and ReLU behind a convolution, in whatever order they come, as long as each is the only
 * reader of the one before. */
static void take_epilogue(const compiler *c, sap__layer *layer) {
  for (;;) {
    const sap__node *next = only_reader(c, layer->output);
    if (!next || layer->residual >= 0) break;
    if (next->op == SAP_OP_ADD) {
      int other = c->names[next->inputs[next->inputs[0] == layer->output]];
      if (!c->made[other] || !same_picture(c, other, layer->output)) break;
      layer->residual = other;
    } else if (next->op != SAP_OP_BATCH_NORM) {
      break;
    }
    cover(c, next, layer);
  }
  take_relu(c, layer);
}

static void conv_layer(const compiler *c, const sap__node *node, sap__layer *layer) {
  const sap__picture *x = &c->program->values[layer->input];
  layer->kind = SAP__LAYER_CONV;
  layer->weights = &c->weights[node->params[0]];
  if (node->op == SAP_OP_LINEAR)
    layer->conv = (sap__conv2d){.out_channels = node->attributes.linear.features,
                                .kernel = {x->height, x->width},
                                .stride = {1, 1},
                                .dilation = {1, 1},
                                .groups = 1};
  else
    layer->conv = node->attributes.conv2d;
  layer->terms = (int)layer->conv.out_channels;
  take_epilogue(c, layer);
}

/* A node that works on flattened pixels as if they were channels. */
static sap_status flattened(const sap__node *node, sap_error *err) {
  return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: %s of a flattened picture: not in the runtime", node->name,
                   sap__op_info_of(node->op)->name);
}

static sap_status affine_layer(const compiler *c, const sap__node *node, sap__layer *layer, sap_error *err) {
  layer->kind = SAP__LAYER_AFFINE;
  if (node->op == SAP_OP_RELU) {
    layer->relu = 1;
    return SAP_OK;
  }
  const sap__picture *x = &c->program->values[layer->input];
  if (c->graph->values[node->output].shape.rank == 1 && x->height * x->width != 1) return flattened(node, err);
  layer->terms = x->channels;
  take_relu(c, layer);
  return SAP_OK;
}

/* The layer of a node that is not a view. */
static sap_status layer_of(const compiler *c, const sap__node *node, sap__layer *layer, sap_error *err) {
  switch (node->op) {
    case SAP_OP_CONV2D:
    case SAP_OP_LINEAR: conv_layer(c, node, layer); return SAP_OK;
    case SAP_OP_BATCH_NORM:
    case SAP_OP_RELU: return affine_layer(c, node, layer, err);
    case SAP_OP_ADD:
      layer->kind = SAP__LAYER_ADD;
      layer->residual = c->names[node->inputs[1]];
      if (!same_picture(c, layer->input, layer->residual)) return flattened(node, err);
      take_relu(c, layer);
      return SAP_OK;
    case SAP_OP_SIGMOID: layer->kind = SAP__LAYER_SIGMOID; return SAP_OK;
    case SAP_OP_GLOBAL_AVG_POOL: layer->kind = SAP__LAYER_MEAN; return SAP_OK;
    case SAP_OP_MAX_POOL:
    case SAP_OP_AVG_POOL:
      layer->kind = SAP__LAYER_POOL;
      layer->pool = node->attributes.pool;
      layer->average = node->op == SAP_OP_AVG_POOL;
      return SAP_OK;
    default:
      return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: op %s: not in the runtime", node->name,
                       sap__op_info_of(node->op)->name);
  }
}

static sap_status compile(compiler *c, sap_error *err) {
  sap__program *program = c->program;
  for (int n = 0; n < c->graph->node_count; n++) {
    const sap__node *node = &c->graph->nodes[n];
    int input = c->names[node->inputs[0]];
    if (program->layer_of[n] >= 0) continue;
    if (sap__op_info_of(node->op)->is_loss) {
      program->output = input;
      return SAP_OK;
    }
    if (sap__op_info_of(node->op)->view || node->op == SAP_OP_DROPOUT) {
      c->names[node->output] = input;
      continue;
    }
    sap__layer *layer = &program->layers[program->layer_count++];
    *layer = (sap__layer){.node = node, .input = input, .residual = -1};
    cover(c, node, layer);
    sap_status status = layer_of(c, node, layer, err);
    if (status) return status;
    c->made[layer->output] = 1;
    if (layer->kind == SAP__LAYER_AFFINE || layer->kind == SAP__LAYER_ADD || layer->kind == SAP__LAYER_SIGMOID)
      program->values[layer->output] = program->values[layer->input];
  }
  return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: a network without an end", c->graph->model);
}

/* Offsets of the kernels are 32-bit numbers of floats: of a value in vectors and inside its border, and of all
 * copies that a convolution may want. Sixteen is the most lanes there are. */
static sap_status check_size(const sap__graph *graph, sap_error *err) {
  for (int v = 0; v < graph->value_count; v++) {
    const sap__shape *shape = &graph->values[v].shape;
    const sap__node *node = graph->values[v].producer < 0 ? NULL : &graph->nodes[graph->values[v].producer];
    double count = 16, copies = 1;
    for (int i = 0; i < shape->rank; i++) count *= (double)shape->dim[i] + 16;
    if (node && node->op == SAP_OP_CONV2D) {
      const sap__conv2d *conv = &node->attributes.conv2d;
      const sap__shape *x = &graph->values[node->inputs[0]].shape;
      double height = (double)(x->dim[1] + conv->pad[0] + conv->pad[2]);
      double width = (double)(x->dim[2] + conv->pad[1] + conv->pad[3]);
      copies = (double)(conv->kernel[0] * conv->kernel[1]) * (double)x->dim[0] *
               (double)(shape->dim[1] * shape->dim[2] + 16);
      count = fmax(count, 16 * height * width * (double)x->dim[0]);
    }
    if (fmax(count, copies) > 0x1p30 || (shape->rank != 1 && shape->rank != 3))
      return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: larger than the runtime's offsets reach",
                       node ? node->name : "input");
  }
  return SAP_OK;
}

sap_status sap__program_new(const sap__graph *graph, const sap__kept_weights *weights, sap__program **out,
                            sap_error *err) {
  sap_status status = check_size(graph, err);
  if (status) return status;
  size_t values = (size_t)graph->value_count, nodes = (size_t)graph->node_count;
  compiler c = {.graph = graph, .weights = weights};
  sap__program *program = c.program = sap__calloc(1, sizeof *program);
  c.names = sap__calloc(values, sizeof *c.names);
  c.made = sap__calloc(values, 1);
  if (program) {
    program->graph = graph;
    program->weights = weights;
    program->value_count = graph->value_count;
    program->values = sap__calloc(values, sizeof *program->values);
    program->layers = sap__alloc(nodes, sizeof *program->layers);
    program->layer_of = sap__alloc(nodes, sizeof *program->layer_of);
  }
  if (!program || !c.names || !c.made || !program->values || !program->layers || !program->layer_of) {
    status = sap__fail_memory(err, nodes * sizeof *program->layers);
  } else {
    for (int v = 0; v < graph->value_count; v++) {
      c.names[v] = v;
      program->values[v] = picture_of(&graph->values[v].shape);
    }
    for (size_t n = 0; n < nodes; n++) program->layer_of[n] = -1;
    c.made[0] = 1;
    status = compile(&c, err);
  }
  sap__free(c.names);
  sap__free(c.made);
  if (status)
    sap__program_free(program);
  else
    *out = program;
  return status;
}

/* ---- scales and shifts ---- */

/* The parameters of a node from `first` on as numbers. */
typedef struct vectors {
  sap__kept_list lists[SAP__MAX_PARAMS];
  int count;
} vectors;

static void vectors_free(vectors *v) {
  while (v->count) sap__kept_list_free(&v->lists[--v->count]);
}

static sap_status vectors_make(const sap__program *program, const sap__node *node, int first, vectors *v,
                               sap_error *err) {
  v->count = 0;
  for (int i = first; i < node->param_count; i++) {
    sap_status status = sap__kept_list_make(&program->weights[node->params[i]], &v->lists[v->count], err);
    if (status) {
      vectors_free(v);
      return status;
    }
    v->count++;
  }
  return SAP_OK;
}

/* Batch norm: what it scales and shifts by, on top of what the layer does before. */
static void fold_norm(const vectors *v, double eps, sap__layer *layer) {
  const float *weight = v->lists[0].values, *bias = v->lists[1].values;
  const float *mean = v->lists[2].values, *variance = v->lists[3].values;
  for (int i = 0; i < layer->terms; i++) {
    const double scale = (double)weight[i] / sqrt((double)variance[i] + eps);
    layer->shift[i] = (float)(scale * (double)layer->shift[i] + ((double)bias[i] - scale * (double)mean[i]));
    layer->scale[i] = (float)(scale * (double)layer->scale[i]);
  }
}

/* What a node of a layer adds to its terms. */
static sap_status fold(const sap__program *program, const sap__node *node, sap__layer *layer, sap_error *err) {
  vectors v;
  const int norm = node->op == SAP_OP_BATCH_NORM, product = node->op == SAP_OP_CONV2D || node->op == SAP_OP_LINEAR;
  if (!norm && !(product && node->param_count > 1)) return SAP_OK;
  sap_status status = vectors_make(program, node, norm ? 0 : 1, &v, err);
  if (status) return status;
  if (norm)
    fold_norm(&v, node->attributes.batch_norm.eps, layer);
  else
    memcpy(layer->shift, v.lists[0].values, (size_t)layer->terms * sizeof *layer->shift);
  vectors_free(&v);
  return SAP_OK;
}

/* Floats from the terms of one layer to those of the next: whole cache lines. */
static size_t terms_room(const sap__layer *layer) {
  const size_t line = SAP_ALIGNMENT / sizeof(float);
  return ((size_t)layer->terms + line - 1) / line * line;
}

sap_status sap__program_fold(sap__program *program, sap_error *err) {
  size_t floats = 0;
  for (int i = 0; i < program->layer_count; i++) floats += 2 * terms_room(&program->layers[i]);
  float *next = program->terms = sap__calloc(floats, sizeof *next);
  if (!next) return sap__fail_memory(err, floats * sizeof *next);
  for (int i = 0; i < program->layer_count; i++) {
    sap__layer *layer = &program->layers[i];
    if (!layer->terms) continue;
    layer->scale = next;
    layer->shift = next + terms_room(layer);
    next += 2 * terms_room(layer);
    for (int k = 0; k < layer->terms; k++) layer->scale[k] = 1;
  }
  sap_status status = SAP_OK;
  for (int n = 0; n < program->graph->node_count && !status; n++)
    if (program->layer_of[n] >= 0)
      status = fold(program, &program->graph->nodes[n], &program->layers[program->layer_of[n]], err);
  return status;
}

void sap__program_free(sap__program *program) {
  if (!program) return;
  sap__free(program->terms);
  sap__free(program->layer_of);
  sap__free(program->layers);
  sap__free(program->values);
  sap__free(program);
}

/* ---- questions ---- */

int sap__program_readers(const sap__program *program, int value) {
  int readers = program->output == value;
  for (int i = 0; i < program->layer_count; i++)
    readers += (program->layers[i].input == value) + (program->layers[i].residual == value);
  return readers;
}

/* The layer that writes a value; −1 for the input. */
static int maker_of(const sap__program *program, int value) {
  for (int i = 0; i < program->layer_count; i++)
    if (program->layers[i].output == value) return i;
  return -1;
}

static int reads(const sap__program *program, int first, int last, int value) {
  for (int i = first; i < last; i++)
    if (program->layers[i].input == value || program->layers[i].residual == value) return 1;
  return 0;
}

int sap__program_needed(const sap__program *program, int value, int from) {
  return value == program->output || reads(program, from, program->layer_count, value);
}

static int add_end(sap__ends *ends, int value) {
  if (ends->count == SAP__ENDS_MAX) return 0;
  ends->values[ends->count++] = value;
  return 1;
}

int sap__program_ends(const sap__program *program, sap__range range, sap__ends *in, sap__ends *out) {
  int fits = 1;
  in->count = out->count = 0;
  for (int v = 0; v < program->value_count && fits; v++) {
    int maker = maker_of(program, v), is_logits = v == program->output, own = maker >= range.first;
    if (maker < 0 ? v > 0 : maker >= range.last) continue;                     /* a name only, or made later */
    int passed_on = v == 0 && is_logits && range.last == program->layer_count; /* a network of no layers */
    if (!own && (reads(program, range.first, range.last, v) || passed_on)) fits = add_end(in, v);
    if (fits && (passed_on || (own && sap__program_needed(program, v, range.last)))) fits = add_end(out, v);
  }
  return fits;
}

uint64_t sap__layer_products(const sap__program *program, const sap__layer *layer) {
  if (layer->kind != SAP__LAYER_CONV) return 0;
  const sap__picture *x = &program->values[layer->input], *y = &program->values[layer->output];
  const sap__conv2d *conv = &layer->conv;
  return (uint64_t)y->channels * (uint64_t)y->height * (uint64_t)y->width * (uint64_t)(x->channels / conv->groups) *
         (uint64_t)(conv->kernel[0] * conv->kernel[1]);
}
