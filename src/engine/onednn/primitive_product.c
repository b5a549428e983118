/* Gradients of weights as one matrix product: the windows of all pictures, row by row, times dy. */
#include <string.h>

#include "base/memory.h"
#include "engine/onednn/primitive_parts.h"

/* The rows of all windows are kept below this, so that they do not drive everything else from the caches. */
enum { LARGEST_ROWS = 1 << 26 };

static int64_t row_length(const sap__conv_problem *p) {
  return p->conv->kernel[0] * p->conv->kernel[1] * p->x.channels;
}
static int64_t row_count(const sap__conv_problem *p) { return p->count * sap__format_pixels(&p->y); }
static size_t rows_bytes(const sap__conv_problem *p) {
  size_t bytes = (size_t)(row_count(p) * row_length(p)) * (size_t)p->x.bytes;
  return (bytes + SAP_ALIGNMENT - 1) / SAP_ALIGNMENT * SAP_ALIGNMENT;
}

/* dW (kernel · I, O) = rowsᵀ · dy, of rows (pixels of y, kernel · I) and dy (pixels of y, O). */
dnnl_status_t sap__product_describe(sap__primitive *p, const_dnnl_primitive_attr_t attr,
                                    const sap__conv_problem *problem) {
  if (problem->conv->groups > 1 || !problem->x.last || !problem->y.last || rows_bytes(problem) > LARGEST_ROWS)
    return dnnl_unimplemented;
  const int64_t length = row_length(problem), count = row_count(problem), outputs = problem->y.channels;
  dnnl_dims_t a = {length, count}, b = {count, outputs}, c = {length, outputs}, weights;
  sap__primitive_weight_dims(problem, weights);
  p->problem = *problem;
  dnnl_status_t status = sap__dnnl_desc_new(&p->product_weights, 4, weights, dnnl_f32, dnnl_hwio);
  p->is_product = !status;
  sap__dnnl_desc rows, dy, dw;
  if (!status) status = sap__dnnl_desc_new(&rows, 2, a, sap__primitive_type(&problem->x), dnnl_ba);
  if (status) return status;
  status = sap__dnnl_desc_new(&dy, 2, b, sap__primitive_type(&problem->y), dnnl_ab);
  if (!status) {
    status = sap__dnnl_desc_new(&dw, 2, c, dnnl_f32, dnnl_ab);
    if (!status) {
      status = sap__dnnl_product_desc(&p->desc, p->engine, &rows, &dy, &dw, attr);
      sap__dnnl_desc_free(&dw);
    }
    sap__dnnl_desc_free(&dy);
  }
  sap__dnnl_desc_free(&rows);
  return status;
}

/* The window of each pixel of y as a row (kernel, I); what lies outside of the picture is 0. */
static void lay_out_rows(const sap__conv_problem *p, const char *x, char *rows) {
  const sap__conv2d *c = p->conv;
  const size_t pixel = (size_t)p->x.channels * (size_t)p->x.bytes, line = pixel * (size_t)p->x.width;
  for (int64_t n = 0; n < p->count; n++, x += line * (size_t)p->x.height)
    for (int64_t row = 0; row < p->y.height; row++)
      for (int64_t column = 0; column < p->y.width; column++)
        for (int64_t i = 0; i < c->kernel[0] * c->kernel[1]; i++, rows += pixel) {
          const int64_t iy = row * c->stride[0] - c->pad[0] + i / c->kernel[1] * c->dilation[0];
          const int64_t ix = column * c->stride[1] - c->pad[1] + i % c->kernel[1] * c->dilation[1];
          if (iy >= 0 && iy < p->x.height && ix >= 0 && ix < p->x.width)
            memcpy(rows, x + (size_t)iy * line + (size_t)ix * pixel, pixel);
          else
            memset(rows, 0, pixel);
        }
}

/* The bias's gradient: the sums of dy over all pixels. */
static void sum_pixels(const sap__conv_problem *p, const void *dy, float *sums) {
  const sap__format row = {.bytes = p->y.bytes, .block = 1, .channels = 1, .height = 1, .width = p->y.channels};
  const int64_t count = row_count(p);
  for (int64_t c = 0; c < p->y.channels; c++) {
    double sum = 0;
    for (int64_t k = 0; k < count; k++)
      sum += sap__format_get(&row, (const char *)dy + (size_t)k * sap__format_bytes(&row), 0, c);
    sums[c] = (float)sum;
  }
}

static void run_product(const sap__primitive *p, const sap__conv_operands *operands, void *scratch) {
  lay_out_rows(&p->problem, operands->x, scratch);
  if (operands->bias) sum_pixels(&p->problem, operands->y, operands->bias);
  sap__primitive_place(p, 0, scratch);
  sap__primitive_place(p, 1, operands->w);
  sap__primitive_place(p, 2, operands->y);
  sap__primitive_place(p, p->argument_count - 1, (char *)scratch + rows_bytes(&p->problem));
  sap__primitive_execute(p);
}

/* In the order of a convolution's operands: x's rows, w, y. */
dnnl_status_t sap__product_finish(sap__primitive *p, const sap__conv_problem *problem) {
  p->run = run_product;
  p->weight_bytes = (size_t)(row_length(problem) * problem->y.channels) * sizeof(float);
  dnnl_status_t status = sap__primitive_add(p, DNNL_ARG_SRC, sap__primitive_query(p, dnnl_query_src_md));
  if (!status) status = sap__primitive_add(p, DNNL_ARG_DST, sap__primitive_query(p, dnnl_query_dst_md));
  if (!status) status = sap__primitive_add(p, DNNL_ARG_WEIGHTS, sap__primitive_query(p, dnnl_query_weights_md));
  if (!status) status = sap__primitive_finish(p);
  p->scratch += rows_bytes(problem);
  return status;
}
