/* A plan of many runs: JSON files in which any setting of an experiment may have several values.
 *
 *   {
 *     // Comments like this one, and like those of C, are allowed.
 *     "common": {"data": "fashion-mnist", "model": "mlp", "epochs": 20, "seed": [0, 1, 2, 3]},
 *     "runs": [
 *       {"method": "sap", "scope": ["layer", "neuron", "global"]},
 *       {"method": ["lt", "os"], "scope": ["layer", "global"], "ratio": 0.2}
 *     ]
 *   }
 *
 * Each object in "runs" is a block: with the settings of "common", where the block does not name them itself, it stands
 * for every combination of their values. The last value written first changes fastest; the settings of "common" come
 * before those of the block. Names of settings are those of sap_experiment_settings.
 *
 * A run's name is made of its model and method, of the scope and every other setting that its block names or that
 * "common" gives a list for: mlp-sap-layer-seed0, mlp-lt-global-ratio0.2-seed3. So neither another value in a list nor
 * another block changes the names of the runs that were there. A run that several blocks describe is planned once,
 * under its first name.
 */
#ifndef SAPWOOD_PLAN_H
#define SAPWOOD_PLAN_H

#include <stddef.h>

#include "sapwood/experiment.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Most runs of a plan, and most bytes of a run's name with its NUL. */
enum { SAP_PLAN_RUNS_MAX = 10000, SAP_PLAN_NAME_SIZE = 200 };

typedef struct sap_plan_run {
  char *name; /* letters, digits, '.', '_', '+' and '-' only, so that it can name a folder; no two are equal */
  sap_experiment experiment; /* passes sap_experiment_check */
} sap_plan_run;

/* Owned by the caller, freed with sap_plan_free. */
typedef struct sap_plan {
  size_t count; /* >= 1 */
  sap_plan_run *runs;
} sap_plan;

/* Reads the plans in paths[count], one after the other into one plan. Cost: linear in the runs, but for the search for
 * equal ones, which compares numbers. Errors: those of reading a file; SAP_ERROR_FORMAT with the file and the line, or
 * the file and the block ("PLAN: runs[1]: …"), for what is no JSON, an unknown key or setting, a value out of its
 * range, an empty list, two different runs of one name, more than SAP_PLAN_RUNS_MAX runs; SAP_ERROR_MEMORY. */
SAP_API sap_status sap_plan_open(const char *const *paths, size_t count, sap_plan **plan,
                                 sap_error *err) SAP_WARN_UNUSED;

/* NULL is fine. */
SAP_API void sap_plan_free(sap_plan *plan);

#ifdef __cplusplus
}
#endif
#endif
