/* A session: one way of computing a model, chosen and with all its memory. */
#ifndef SAP_RUNTIME_SESSION_H
#define SAP_RUNTIME_SESSION_H

#include "runtime/dense.h"
#include "runtime/schedule.h"

struct sap_session {
  const sap_model *model;
  sap_session_options options; /* threads: how many, at least 1 */
  sap_way way;
  sap__schedule *schedule; /* of a sparse way */
  int teams;               /* units that can be computed at a time */
  int unit;                /* pictures of a unit */
  float *memory;           /* (teams, schedule->floats) */
  sap__barrier barrier;    /* of all threads working on one unit */
  sap__dense *dense;       /* of SAP_WAY_DENSE */
};

/* A session that computes in this way and no other; with the fixed rule's tiles. */
sap_status sap__session_make(const sap_model *model, const sap_session_options *options, sap_way way,
                             sap_session **session, sap_error *err) SAP_WARN_UNUSED;

/* Tries tiles, and keeps the fastest of each layer. */
void sap__session_tune(sap_session *session);

/* Seconds from some fixed point. */
double sap__session_clock(void);

#endif
