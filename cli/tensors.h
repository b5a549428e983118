/* The tensors of a checkpoint that count, and their masks: what measure and prune work on. */
#ifndef CLI_TENSORS_H
#define CLI_TENSORS_H

#include <jansson.h>

#include "commands.h"
#include "sapwood/checkpoint.h"
#include "sapwood/layer.h"
#include "sapwood/prune.h"

/* Tensors that do not count, by why. */
typedef struct left_out {
  size_t type, rank, name, excluded;
} left_out;

typedef struct tensors {
  sap_checkpoint *file;
  size_t count;
  size_t *places;    /* of each, in the checkpoint */
  sap_layer *layers; /* masks are owned; NULL: all kept */
  uint64_t weights;  /* all of them together */
  left_out out;
} tensors;

/* What tensors_open looks at. */
#define OPEN_OPTIONS                                                                                          \
  {0, "lenient", NULL, NULL, "accept bytes behind a file's data, and shards that their index misstates"},     \
      {0, "threads", "N", "0 <= threads <= 1024", "threads; 0 or without it one a core"}, {                   \
    0, "max-expand", "X", "1 <= X", "let decoded tensors take X times the bytes of the file; without it 1000" \
  }

/* The options that choose tensors, for the tables of commands. */
#define TENSOR_OPTIONS                                                                   \
  {0, "include", "GLOB", NULL, "take only tensors whose name matches; may be repeated"}, \
      {0, "exclude", "GLOB", NULL, "leave out tensors whose name matches; may be repeated"}, OPEN_OPTIONS

/* The options of the index and of the decision. */
#define INDEX_OPTIONS                                                                                          \
  {0, "scope", "S", "global, layer or neuron", "what is taken as one vector: all tensors, each, or each row"}, \
      {'p', "p", "P", "0 < p < q <= 64", "the lower exponent of the index; without it 0.5"},                   \
      {0, "q", "Q", "0 < p < q <= 64", "the upper exponent of the index; without it 1"},                       \
      {0, "eta", "X", "eta > -1", "slack of the retain bound; without it 0"},                                  \
      {0, "gamma", "X", "gamma >= 0", "factor of the prune ratio; without it 1"}, {                            \
    0, "beta", "X", "0 <= beta <= 1", "the most that is pruned in one step; without it 0.9"                    \
  }

/* Reads INDEX_OPTIONS into *options, which holds the defaults. EXIT_DONE, or EXIT_USAGE after printing why. */
int index_options(const char *title, const arguments *parsed, sap_prune_options *options);

/* Opens the file as OPEN_OPTIONS say. EXIT_DONE, or EXIT_FAILED or EXIT_USAGE after printing why. */
int tensors_open(const char *title, const arguments *parsed, const char *path, sap_checkpoint **file);

/* Chooses the tensors of an open file, which *chosen then owns, and makes them readable. A mask that the format
 * carries is taken. EXIT_DONE, or EXIT_FAILED after printing why: also when none counts. */
int tensors_choose(const char *title, const arguments *parsed, sap_checkpoint *file, tensors *chosen);

/* Gives every layer a mask; those without one keep all. */
int tensors_make_masks(const char *title, tensors *chosen);

/* Masks as `source` says: "zeros", or a file that holds them. EXIT_DONE, or EXIT_FAILED after printing why. */
int tensors_read_masks(const char *title, const char *source, tensors *chosen);

/* Writes the masks: a safetensors file of U8 tensors NAME.mask, eight weights a byte, the lowest bit first. */
int tensors_write_masks(const char *title, const tensors *chosen, const char *path);

/* Closes the file and frees all; fine after a failure of tensors_choose, too. */
void tensors_free(tensors *chosen);

/* "64x3x3x3" in text[size]. */
const char *shape_text(const sap_tensor *tensor, char *text, size_t size);

/* A name from a file, characters that a terminal would obey shown as '?', filled up to `width` columns. */
void name_print(const char *name, int width);

json_t *shape_json(const sap_tensor *tensor);

/* "3 tensors left out: 2 of rank below 2, 1 by name" and a newline on stdout; nothing if there are none. */
void left_out_print(const left_out *out);

json_t *left_out_json(const left_out *out);

/* The longest name, at least `least` and at most 64 columns. */
int tensors_name_width(const tensors *chosen, int least);

/* "sapwood COMMAND: text" for an output that exists and --force was not given, or that is one of the `count` inputs,
 * however it is named; EXIT_DONE if it may be written. */
int output_check(const char *title, const arguments *parsed, const char *path, const char *const *inputs, size_t count);

#endif
