/* Norms of many layers: one parallel loop over the chunks of all, so that the threads wait for each other once. */
#include "base/error.h"
#include "base/memory.h"
#include "base/pages.h"
#include "base/threads.h"
#include "index/span.h"
#include "sapwood/cpu.h"

/* A layer's share of the work. */
typedef struct layer_work {
  unsigned chunks;
  size_t part;     /* its first chunk's among the parts */
  unsigned groups; /* not yet done */
  int finite;
} layer_work;

/* Chunks of one layer that a thread takes at a time. */
typedef struct chunk_group {
  size_t layer;
  unsigned first, last;
} chunk_group;

typedef struct layers_work {
  const sap_layer *layers;
  layer_work *of; /* one a layer */
  chunk_group *groups;
  size_t group_count;
  sap_norms *parts; /* one a chunk */
  size_t part_count;
} layers_work;

/* Groups of a layer's chunks: of about `bytes`. */
static unsigned chunks_together(const sap_layer *layer, unsigned chunks, uint64_t bytes) {
  const uint64_t each = layer->count * sap__dtype_size(layer->dtype) / chunks + 1;
  return bytes / each < 1 ? 1 : bytes / each < chunks ? (unsigned)(bytes / each) : chunks;
}

/* How much a thread takes: a piece of pages, but no thread waits long for the last. */
static uint64_t group_bytes(const sap_layer *layers, size_t count) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += layers[i].count * sap__dtype_size(layers[i].dtype);
  const uint64_t fair = bytes / (16 * (uint64_t)sap_threads_get()) + 1, most = sap__pages_piece();
  return fair < most ? fair : most;
}

static sap_status work_plan(layers_work *work, const sap_norms *norms, size_t count, sap_error *err) {
  const uint64_t bytes = group_bytes(work->layers, count);
  work->of = sap__calloc(count, sizeof *work->of);
  if (!work->of) return sap__fail_memory(err, count * sizeof *work->of);
  for (size_t i = 0; i < count; i++) {
    layer_work *of = &work->of[i];
    of->chunks = sap__norms_chunks(work->layers[i].count);
    of->part = work->part_count;
    of->finite = 1;
    work->part_count += of->chunks;
    if (!of->chunks) continue;
    const unsigned together = chunks_together(&work->layers[i], of->chunks, bytes);
    of->groups = (of->chunks + together - 1) / together;
    work->group_count += of->groups;
  }
  work->groups = sap__alloc(work->group_count, sizeof *work->groups);
  work->parts = sap__alloc(work->part_count, sizeof *work->parts);
  if (!work->groups || !work->parts)
    return sap__fail_memory(err, work->group_count * sizeof *work->groups + work->part_count * sizeof *work->parts);
  for (size_t i = 0, g = 0; i < count; i++) {
    const layer_work *of = &work->of[i];
    for (unsigned c = 0; c < of->chunks; c++) work->parts[of->part + c] = sap_norms_empty(norms[i].p, norms[i].q);
    for (unsigned k = 0; k < of->groups; k++)
      work->groups[g++] = (chunk_group){i, (unsigned)sap__part(of->chunks, k, of->groups),
                                        (unsigned)sap__part(of->chunks, k + 1, of->groups)};
  }
  return SAP_OK;
}

static void do_group(layers_work *work, const chunk_group *group) {
  layer_work *of = &work->of[group->layer];
  const sap__span span = sap__layer_span(&work->layers[group->layer]);
  const int finite = sap__norms_add_chunks(&work->parts[of->part], &span, group->first, group->last, of->chunks);
  unsigned left;
  if (!finite) {
#pragma omp atomic write
    of->finite = 0;
  }
#pragma omp atomic capture
  left = --of->groups;
  /* what the system has brought in around the groups' ends, maybe after they were done */
  if (!left) sap_layer_release(&work->layers[group->layer]);
}

/* Layer i on the calling thread. */
static sap_status add_one(sap_norms *norms, const sap_layer *layers, size_t i, sap_error *err) {
  const sap__span span = sap__layer_span(&layers[i]);
  const sap_status status = sap__norms_add_span(norms, &span, 0, err);
  return status ? sap__fail_layer(err, status, &layers[i], i) : SAP_OK;
}

sap_status sap__norms_add_layers(sap_norms *norms, const sap_layer *layers, size_t count, sap_error *err) {
  uint64_t weights = 0;
  for (size_t i = 0; i < count; i++) weights += layers[i].count;
  sap_status status = SAP_OK;
  if (weights < SAP__PARALLEL_MIN) {
    for (size_t i = 0; i < count && !status; i++) status = add_one(&norms[i], layers, i, err);
    return status;
  }
  layers_work work = {.layers = layers};
  status = work_plan(&work, norms, count, err);
  if (!status) {
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t g = 0; g < work.group_count; g++) do_group(&work, &work.groups[g]);
  }
  for (size_t i = 0; i < count && !status; i++) {
    const layer_work *of = &work.of[i];
    for (unsigned c = 1; c < of->chunks; c++) sap_norms_merge(&work.parts[of->part], &work.parts[of->part + c]);
    if (!of->finite) /* once more, for the text */
      status = add_one(&work.parts[of->part], layers, i, err);
    else if (of->chunks)
      sap_norms_merge(&norms[i], &work.parts[of->part]);
  }
  sap__free(work.of);
  sap__free(work.groups);
  sap__free(work.parts);
  return status;
}
