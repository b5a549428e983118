/* Which iteration of a run to keep, and why, from the PQ Index of its iterations. */
#ifndef CLI_RECOMMEND_H
#define CLI_RECOMMEND_H

#include <jansson.h>

#include "sapwood/experiment.h"
#include "terminal.h"

/* On stdout, for a person: the phases, the recommended iteration and the reason. */
void recommend_print(const terminal *t, const sap_experiment *experiment, const json_t *iterations);

/* The same as an object; null if the iterations have no index. */
json_t *recommend_json(const sap_experiment *experiment, const json_t *iterations);

#endif
