/* Strips: a few rows at a time through several layers.
 *
 * The first values of a network are larger than a processor's caches. Computed layer by layer, each is written to
 * memory and read back from there. So the convolutions that read such values take turns: each computes the rows whose
 * inputs are there, and of a value in between only the rows that are still needed lie in memory, in a ring: row r of
 * the value, borders included, is row r mod n of the buffer.
 *
 * Threads share out the picture: each takes its rows of what leaves the strips through all of them, in rings of its
 * own, and nobody waits for another. Of the values in between it also computes the rows beyond its own that its
 * windows read, which another thread computes as well; so only as many layers are taken as that costs little. */
#ifndef SAP_RUNTIME_STRIPS_H
#define SAP_RUNTIME_STRIPS_H

#include "runtime/program.h"

/* What the plan must know of a value, and what it says. */
typedef struct sap__strip_value {
  int top, bottom; /* border */
  int twin;        /* value that is written along with it; −1: none */
  int written;     /* 0: only its twin is */
  int64_t floats;
  int rows; /* out: of the ring; 0: the value lies in memory as a whole */
} sap__strip_value;

/* Rows [first, last) of a layer's output are computed, or rows of a value, counted from its upper border on, become a
 * border: 0. */
typedef struct sap__step {
  int layer; /* −1: none; in a schedule: stage */
  int value; /* −1: none; in a schedule: buffer */
  int first, last;
  int ring;       /* in a schedule: rows of the buffer */
  int64_t length; /* in a schedule: floats of such a row */
} sap__step;

typedef struct sap__strips {
  sap__range layers; /* computed in strips; may be none */
  sap__step *steps;  /* share by share */
  int count;
  int shares;                  /* of the picture */
  int *ends;                   /* (shares) of each one's steps */
  int first_stage, last_stage; /* in a schedule: stages [first, last) that compute the layers */
} sap__strips;

/* Plans the strips of a range of layers, whose values are given: of its first layers, as long as they read values of
 * more floats than `cache` and may be shared out. strips->shares is given. Values that are rings by an earlier plan
 * stay as they are. SAP_ERROR_MEMORY. */
sap_status sap__strips_plan(const sap__program *program, sap__range layers, int64_t cache, sap__strip_value *values,
                            sap__strips *strips, sap_error *err) SAP_WARN_UNUSED;
void sap__strips_free(sap__strips *strips);

#endif
