/* A session: how a model is computed, chosen and with all its memory.
 *
 * The layers are cut into segments, each in one way. Between two segments values lie as the caller's pictures do:
 * (count, channels, height, width). */
#ifndef SAP_RUNTIME_SESSION_H
#define SAP_RUNTIME_SESSION_H

#include "runtime/model.h"
#include "runtime/schedule.h"

typedef struct sap__segment {
  sap_way way;
  sap__schedule *schedule;
  float *memory; /* (teams, schedule->floats) */
} sap__segment;

struct sap_session {
  const sap_model *model;
  sap__program *program;       /* the model's, with its scales and shifts */
  sap_session_options options; /* threads: how many, at least 1 */
  sap__segment *segments;
  int segment_count;
  float **values;       /* (values of the program): pictures of a batch between segments; NULL: inside of one */
  sap__barrier barrier; /* of all threads working on one unit */
};

/* Part of the layers, in one way. */
typedef struct sap__stretch {
  sap_way way;
  int last; /* layer behind it; it begins where the one before ends */
} sap__stretch;

/* A session of these segments; with the fixed rule's tiles. choices: of engines; NULL: they try nothing.
 * SAP_ERROR_UNSUPPORTED: a dense segment where the build has no engine for it. */
sap_status sap__session_make(const sap_model *model, const sap_session_options *options, const sap__stretch *stretches,
                             int count, sap__choices *choices, sap_session **session, sap_error *err) SAP_WARN_UNUSED;

/* All layers in one way. */
sap_status sap__session_plain(const sap_model *model, const sap_session_options *options, sap_way way,
                              sap__choices *choices, sap_session **session, sap_error *err) SAP_WARN_UNUSED;

/* Tries tiles, and keeps the fastest of each layer. */
void sap__session_tune(sap_session *session);

/* The first unit of a run of `count` pictures, as the segment's first team has it. */
sap__unit sap__session_unit(const sap_session *session, const sap__segment *segment, const float *x, float *y,
                            size_t count);

/* Seconds from some fixed point. */
double sap__session_clock(void);

#endif
