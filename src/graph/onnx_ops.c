/* The ops of ONNX that are ops of ours. */
#include <string.h>

#include "base/error.h"
#include "graph/onnx_numbers.h"

static const sap__shape *shape_of(const sap__onnx_importer *im, int value) { return &im->graph->values[value].shape; }

static sap_status append_plain(sap__onnx_importer *im, const sap__onnx_node *node, sap__op op,
                               sap__attributes attributes, int x, int *y, sap_error *err) {
  return sap__onnx_append(im, node, op, attributes, &x, 1, NULL, 0, 0, y, err);
}

/* Input i must be a tensor of the file. */
static sap_status weight(const sap__onnx_importer *im, const sap__onnx_node *node, size_t i, const sap_tensor **tensor,
                         sap_error *err) {
  *tensor = sap__onnx_tensor_of(im, node, i);
  if (*tensor) return SAP_OK;
  return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "input %.60s: expected a tensor of the file",
                          i < node->input_count && *node->inputs[i] ? node->inputs[i] : "is missing");
}

static int64_t integer(const sap__onnx_node *node, const char *name, int64_t otherwise) {
  sap__onnx_attribute_int(node, name, &otherwise);
  return otherwise;
}

static double real(const sap__onnx_node *node, const char *name, double otherwise) {
  sap__onnx_attribute_float(node, name, &otherwise);
  return otherwise;
}

static int text_is(const sap__onnx_node *node, const char *name, const char *wanted) {
  const char *text;
  size_t size;
  return sap__onnx_attribute_text(node, name, &text, &size) && size == strlen(wanted) && !memcmp(text, wanted, size);
}

/* ---- windows ---- */

typedef struct windows {
  int64_t kernel[2], stride[2], dilation[2], pad[4];
} windows;

/* `count` integers of an attribute; those that `values` holds where there is none. */
static sap_status integers(const sap__onnx_importer *im, const sap__onnx_node *node, const char *name, int64_t *values,
                           size_t count, sap_error *err) {
  int64_t found[4];
  size_t there;
  if (!sap__onnx_attribute_ints(node, name, found, 4, &there)) return SAP_OK;
  if (there != count)
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "%s has %zu numbers, expected %zu", name, there,
                            count);
  memcpy(values, found, count * sizeof *values);
  return SAP_OK;
}

/* auto_pad SAME_…: as many windows as strides fit the axis; what is left over on one side goes to `end` or not. */
static void pad_same(windows *w, const sap__shape *shape, int end) {
  enum { LIMIT = 1 << 20 }; /* beyond, the op refuses the numbers themselves */
  for (int axis = 0; axis < 2; axis++) {
    int64_t length = shape->dim[axis + 1], kernel = w->kernel[axis], stride = w->stride[axis];
    if (kernel < 1 || stride < 1 || w->dilation[axis] < 1 || kernel > LIMIT || stride > LIMIT ||
        w->dilation[axis] > LIMIT)
      return;
    int64_t count = (length + stride - 1) / stride, extent = (kernel - 1) * w->dilation[axis] + 1;
    int64_t pad = (count - 1) * stride + extent - length;
    if (pad < 0) pad = 0;
    w->pad[axis] = end ? pad / 2 : pad - pad / 2;
    w->pad[axis + 2] = pad - w->pad[axis];
  }
}

/* The window of a convolution or pool over x. w->kernel: what it is where the node does not say. */
static sap_status read_windows(const sap__onnx_importer *im, const sap__onnx_node *node, int x, windows *w,
                               sap_error *err) {
  if (shape_of(im, x)->rank != 3)
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "input of rank %d, expected pictures (N, C, H, W)",
                            shape_of(im, x)->rank + 1);
  for (int i = 0; i < 2; i++) w->stride[i] = w->dilation[i] = 1;
  memset(w->pad, 0, sizeof w->pad);
  sap_status status = integers(im, node, "kernel_shape", w->kernel, 2, err);
  if (!status) status = integers(im, node, "strides", w->stride, 2, err);
  if (!status) status = integers(im, node, "dilations", w->dilation, 2, err);
  if (!status) status = integers(im, node, "pads", w->pad, 4, err);
  if (status) return status;
  const char *text;
  size_t size;
  int upper = text_is(node, "auto_pad", "SAME_UPPER"), lower = text_is(node, "auto_pad", "SAME_LOWER");
  if (upper || lower)
    pad_same(w, shape_of(im, x), upper);
  else if (text_is(node, "auto_pad", "VALID"))
    memset(w->pad, 0, sizeof w->pad);
  else if (sap__onnx_attribute_text(node, "auto_pad", &text, &size) && !text_is(node, "auto_pad", "NOTSET"))
    return sap__onnx_refuse(im, node, err, SAP_ERROR_FORMAT,
                            "auto_pad is %.*s, expected NOTSET, SAME_UPPER, "
                            "SAME_LOWER or VALID",
                            size < 20 ? (int)size : 20, text);
  return SAP_OK;
}

static sap_status conv(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  const sap_tensor *tensors[2];
  sap_status status = weight(im, node, 1, &tensors[0], err);
  if (status) return status;
  tensors[1] = sap__onnx_tensor_of(im, node, 2);
  if (node->input_count > 2 && *node->inputs[2] && !tensors[1]) return weight(im, node, 2, &tensors[1], err);
  const sap_tensor *w = tensors[0];
  if (w->rank != 4 || w->count > INT32_MAX || !w->count)
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "%.60s: rank %d and %llu weights, expected rank 4",
                            w->name, w->rank, (unsigned long long)w->count);
  windows window = {.kernel = {(int64_t)w->shape[2], (int64_t)w->shape[3]}};
  status = read_windows(im, node, x, &window, err);
  if (status) return status;
  sap__conv2d c = {
      .out_channels = (int64_t)w->shape[0], .groups = integer(node, "group", 1), .bias = tensors[1] != NULL};
  memcpy(c.kernel, window.kernel, sizeof c.kernel);
  memcpy(c.stride, window.stride, sizeof c.stride);
  memcpy(c.dilation, window.dilation, sizeof c.dilation);
  memcpy(c.pad, window.pad, sizeof c.pad);
  return sap__onnx_append(im, node, SAP_OP_CONV2D, (sap__attributes){.conv2d = c}, &x, 1, tensors, 2, 0, y, err);
}

static sap_status pool(sap__onnx_importer *im, const sap__onnx_node *node, sap__op op, int x, int *y, sap_error *err) {
  windows window = {.kernel = {0, 0}};
  sap_status status = read_windows(im, node, x, &window, err);
  if (!status && (window.dilation[0] != 1 || window.dilation[1] != 1))
    status = sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "dilations, expected 1");
  if (status) return status;
  sap__pool p = {.ceil = integer(node, "ceil_mode", 0) != 0,
                 .count_include_pad = integer(node, "count_include_pad", 0) != 0};
  memcpy(p.kernel, window.kernel, sizeof p.kernel);
  memcpy(p.stride, window.stride, sizeof p.stride);
  memcpy(p.pad, window.pad, sizeof p.pad);
  return append_plain(im, node, op, (sap__attributes){.pool = p}, x, y, err);
}

static sap_status max_pool(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  return pool(im, node, SAP_OP_MAX_POOL, x, y, err);
}

static sap_status average_pool(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  return pool(im, node, SAP_OP_AVG_POOL, x, y, err);
}

/* ---- the rest with weights ---- */

static sap_status batch_norm(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  const sap_tensor *tensors[4];
  sap_status status = SAP_OK;
  for (size_t i = 0; i < 4 && !status; i++) status = weight(im, node, i + 1, &tensors[i], err);
  if (status) return status;
  if (integer(node, "training_mode", 0))
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "training_mode 1, expected 0");
  if (im->onnx.opset == 6 && !integer(node, "is_test", 0))
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "is_test 0, expected 1");
  if (!integer(node, "spatial", 1)) /* until opset 8: statistics of every pixel */
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "spatial 0, expected 1");
  double momentum = 1 - real(node, "momentum", 0.9), eps = real(node, "epsilon", 1e-5);
  /* What an exporter wrote may be useless for training: a network in evaluation has momentum 1. */
  sap__attributes attributes = {.batch_norm = {momentum > 0 && momentum <= 1 ? momentum : 0.1, eps}};
  if (!(eps >= 0 && eps < 1))
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "epsilon %g, expected [0, 1)", eps);
  return sap__onnx_append(im, node, SAP_OP_BATCH_NORM, attributes, &x, 1, tensors, 4, 0, y, err);
}

static sap_status linear(sap__onnx_importer *im, const sap__onnx_node *node, const sap_tensor *const tensors[2],
                         int transposed, int x, int *y, sap_error *err) {
  const sap_tensor *w = tensors[0];
  if (w->rank != 2 || w->count > INT32_MAX || !w->count)
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "%.60s: rank %d and %llu weights, expected rank 2",
                            w->name, w->rank, (unsigned long long)w->count);
  sap__attributes attributes = {.linear = {(int64_t)w->shape[transposed ? 1 : 0], tensors[1] != NULL}};
  return sap__onnx_append(im, node, SAP_OP_LINEAR, attributes, &x, 1, tensors, 2, transposed, y, err);
}

static sap_status gemm(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  const sap_tensor *tensors[2] = {NULL, sap__onnx_tensor_of(im, node, 2)};
  sap_status status = weight(im, node, 1, &tensors[0], err);
  if (!status && node->input_count > 2 && *node->inputs[2] && !tensors[1])
    status = weight(im, node, 2, &tensors[1], err);
  if (status) return status;
  if (real(node, "alpha", 1) < 1 || real(node, "alpha", 1) > 1 || real(node, "beta", 1) < 1 ||
      real(node, "beta", 1) > 1 || integer(node, "transA", 0))
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "alpha, beta or transA, expected 1, 1 and 0");
  return linear(im, node, tensors, !integer(node, "transB", 0), x, y, err);
}

/* Opset 6 names the axis of (pictures, features) where what is added begins. */
static int along_last_axis(const sap__onnx_node *add) {
  int64_t axis = integer(add, "axis", -1);
  return axis == -1 || axis == 1;
}

/* The Add that is the only reader of what a node makes and adds a tensor of the file: a bias. NULL: there is none. */
static const sap__onnx_node *find_bias(const sap__onnx_importer *im, const sap__onnx_node *node,
                                       const sap_tensor **bias) {
  const char *name = node->outputs[0];
  const sap__onnx_made *made = sap__onnx_find_made(im, name);
  if (made->readers != 1) return NULL;
  for (const sap__onnx_node *add = node + 1; add < im->onnx.nodes + im->onnx.node_count; add++) {
    if (im->taken[add - im->onnx.nodes] != 1 || strcmp(add->op, "Add") || *add->domain || add->input_count != 2 ||
        add->output_count != 1 || !along_last_axis(add))
      continue;
    for (size_t i = 0; i < 2; i++)
      if (!strcmp(add->inputs[i], name) && (*bias = sap__onnx_tensor_of(im, add, 1 - i)) && (*bias)->rank == 1)
        return add;
  }
  return NULL;
}

static sap_status matmul(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  const sap_tensor *tensors[2] = {NULL, NULL};
  sap_status status = weight(im, node, 1, &tensors[0], err);
  if (status) return status;
  const sap__onnx_node *add = find_bias(im, node, &tensors[1]);
  if (!add) tensors[1] = NULL;
  status = linear(im, node, tensors, 1, x, y, err);
  if (!status && add) sap__onnx_absorb(im, add, *y);
  return status;
}

/* ---- without weights ---- */

static sap_status relu(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  return append_plain(im, node, SAP_OP_RELU, (sap__attributes){0}, x, y, err);
}

static sap_status sigmoid(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  return append_plain(im, node, SAP_OP_SIGMOID, (sap__attributes){0}, x, y, err);
}

static sap_status global_average_pool(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y,
                                      sap_error *err) {
  return append_plain(im, node, SAP_OP_GLOBAL_AVG_POOL, (sap__attributes){0}, x, y, err);
}

/* The ratio is an attribute before opset 12, then an input; in both 0.5 where it is left out. */
static sap_status dropout(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  double rate = real(node, "ratio", 0.5);
  if (node->input_count > 1 && *node->inputs[1] && !sap__onnx_real(im, node, 1, &rate))
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "ratio %.60s is no constant", node->inputs[1]);
  return append_plain(im, node, SAP_OP_DROPOUT, (sap__attributes){.dropout = {rate}}, x, y, err);
}

static sap_status add(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  int inputs[2] = {x, x};
  sap_status status = sap__onnx_input(im, node, 1, &inputs[1], err);
  return status ? status : sap__onnx_append(im, node, SAP_OP_ADD, (sap__attributes){0}, inputs, 2, NULL, 0, 0, y, err);
}

static sap_status identity(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  (void)im, (void)node, (void)err;
  *y = x;
  return SAP_OK;
}

/* The loss has its own: what goes into the last softmax are the logits. */
static sap_status softmax(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  if (strcmp(node->outputs[0], im->output) || sap__onnx_find_made(im, im->output)->readers != 1)
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "expected at the end of the network only");
  int64_t last = shape_of(im, x)->rank, axis = integer(node, "axis", im->onnx.opset < 13 ? 1 : -1);
  if (axis != -1 && axis != last)
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "axis %lld, expected %lld", (long long)axis,
                            (long long)last);
  *y = x;
  return SAP_OK;
}

static sap_status flat(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  return append_plain(im, node, SAP_OP_FLATTEN, (sap__attributes){0}, x, y, err);
}

static sap_status flatten(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  int64_t axis = integer(node, "axis", 1);
  if (axis != 1 && axis != -shape_of(im, x)->rank)
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "axis %lld, expected 1", (long long)axis);
  return flat(im, node, x, y, err);
}

/* To (pictures, all the rest): as a flatten. To the shape that is there: as nothing. */
static sap_status reshape(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  int64_t to[SAP__ONNX_NUMBERS];
  size_t count;
  if (!sap__onnx_integers(im, node, 1, to, &count))
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "shape %.60s is not known before it is run",
                            node->input_count > 1 ? node->inputs[1] : "");
  const sap__shape *shape = shape_of(im, x);
  int pictures = count && (to[0] == 0 || to[0] == -1 || to[0] == SAP__ONNX_BATCH || (to[0] > 0 && to[0] == im->batch));
  int same = pictures && count == (size_t)shape->rank + 1;
  for (int i = 0; i < shape->rank && same; i++)
    same = to[i + 1] == shape->dim[i] || (to[i + 1] == 0 && !integer(node, "allowzero", 0));
  if (same) return *y = x, SAP_OK;
  if (pictures && count == 2 && (to[1] == -1 || to[1] == sap__shape_count(shape)) && !(to[0] == -1 && to[1] == -1))
    return flat(im, node, x, y, err);
  return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "expected (pictures, all the rest): a flatten");
}

/* The mean over height and width: as global average pool, and a flatten where the axes are not kept. */
static sap_status reduce_mean(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err) {
  int64_t axes[SAP__ONNX_NUMBERS];
  size_t count;
  if (!sap__onnx_attribute_ints(node, "axes", axes, 2, &count) && !sap__onnx_integers(im, node, 1, axes, &count))
    count = 0;
  int planes = count == 2 && shape_of(im, x)->rank == 3;
  for (size_t i = 0; i < count && planes; i++) axes[i] += axes[i] < 0 ? 4 : 0;
  if (!planes || !((axes[0] == 2 && axes[1] == 3) || (axes[0] == 3 && axes[1] == 2)))
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "expected over the axes 2 and 3");
  sap_status status = global_average_pool(im, node, x, y, err);
  return status || integer(node, "keepdims", 1) ? status : flat(im, node, *y, y, err);
}

static const struct {
  const char *name;
  sap__onnx_op *op; /* NULL: lazy */
} ops[] = {
    {"Add", add},
    {"AveragePool", average_pool},
    {"BatchNormalization", batch_norm},
    {"Cast", NULL},
    {"Concat", NULL},
    {"Constant", NULL},
    {"Conv", conv},
    {"Dropout", dropout},
    {"Flatten", flatten},
    {"Gather", NULL},
    {"Gemm", gemm},
    {"GlobalAveragePool", global_average_pool},
    {"Identity", identity},
    {"LogSoftmax", softmax},
    {"MatMul", matmul},
    {"MaxPool", max_pool},
    {"ReduceMean", reduce_mean},
    {"Relu", relu},
    {"Reshape", reshape},
    {"Shape", NULL},
    {"Sigmoid", sigmoid},
    {"Softmax", softmax},
    {"Squeeze", NULL},
    {"Unsqueeze", NULL},
};

sap__onnx_op *sap__onnx_find_op(const sap__onnx_node *node, int *lazy) {
  *lazy = 0;
  if (*node->domain && strcmp(node->domain, "ai.onnx")) return NULL;
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
    if (!strcmp(ops[i].name, node->op)) {
      *lazy = !ops[i].op;
      return ops[i].op;
    }
  return NULL;
}
