/* Inside of plans: the text of one file, and names. */
#ifndef SAP_TRAIN_PLAN_H
#define SAP_TRAIN_PLAN_H

#include <stdint.h>

#include "sapwood/plan.h"

/* A plan under construction. */
typedef struct sap__planner {
  sap_plan *plan;
  uint64_t *hashes; /* (runs) of all settings, to find equal runs fast */
} sap__planner;

/* Adds the runs of the plan in text[size], which is changed: comments become spaces. `file` names it in errors. */
sap_status sap__plan_parse(sap__planner *planner, const char *file, char *text, size_t size,
                           sap_error *err) SAP_WARN_UNUSED;

/* Spaces in place of comments, outside of strings; the lines stay. 0, or the line on which a comment begins that
 * nothing ends. */
int sap__plan_blank_comments(char *text, size_t size);

/* Adds a run unless an equal one is there. SAP_ERROR_FORMAT if another one has its name. */
sap_status sap__plan_add(sap__planner *planner, const char *name, const sap_experiment *experiment,
                         sap_error *err) SAP_WARN_UNUSED;

#endif
