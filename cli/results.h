/* The iterations of a run as JSON objects (the iteration lines of metrics.jsonl), and as tables. */
#ifndef CLI_RESULTS_H
#define CLI_RESULTS_H

#include <jansson.h>

#include "sapwood/experiment.h"
#include "terminal.h"

/* A new object with the fields of an iteration line; NULL without memory. */
json_t *results_from_record(const sap_iteration_record *record);

/* Appends the iteration lines of RUN/metrics.jsonl to `iterations`; a missing file adds none. */
void results_read(const char *run, json_t *iterations);

/* On stdout: the head of the table of iterations, and one row of it. */
void results_print_head(const terminal *t);
void results_print_row(const json_t *iteration);

/* On stdout: the layers of one iteration as a table. */
void results_print_layers(const terminal *t, const json_t *iteration);

/* How much accuracy the best trade-off may give away, in points of a percent. */
#define RESULTS_TOLERANCE 0.5

/* The sparsest pruned iteration whose accuracy is at most RESULTS_TOLERANCE points below that of iteration 0; NULL if
 * there is none. */
const json_t *results_best(const json_t *iterations);

/* "89.61 %" in buffer[16]; "-" for NaN. Returns buffer. */
const char *results_percent(double fraction, int decimals, char *buffer);

/* A number of an object; NaN where it is null or missing. */
double results_number(const json_t *object, const char *key);

/* On stdout: the sparsest iteration whose accuracy is at most RESULTS_TOLERANCE points below that of
 * iteration 0, or that there is none. */
void results_print_best(const terminal *t, const json_t *iterations);

#endif
