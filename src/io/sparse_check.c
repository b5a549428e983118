#include "io/sparse_check.h"

#include <stdlib.h>

#include "io/sparse_walk.h"

/* Fewer codes are checked one after the other. */
enum { LANES_MIN = 4 };

/* Those that are walked through together are neighbours: of one k, and as long as each other. */
static int by_kind(const void *left, const void *right) {
  const sap__sparse_block *a = &((const sap__sparse_job *)left)->block, *b = &((const sap__sparse_job *)right)->block;
  if (a->k != b->k) return a->k < b->k ? -1 : 1;
  return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

static int can_walk(uint32_t k) { return k >= 1 && k <= SAP__WALK_K_MAX; }

/* 1 if what was found on the way is that of a code by the rules; 0 if one has to look again. */
static int walked_well(const sap__sparse_job *job, const sap__walk_lane *lane) {
  const uint32_t k = job->block.k, last = job->code[job->block.bytes - 1];
  uint32_t come = lane->before, used = 0; /* bits of the last byte, up to where the last gap ends */
  for (uint32_t bit = 0; bit < 8; bit++) {
    if (!come && !(last >> bit & 1)) continue;
    come = come ? come - 1 : k;
    used = bit + 1;
  }
  if (come || !used || lane->kept != job->block.kept) return 0;
  const uint64_t bits = 8 * (uint64_t)(job->block.bytes - 1) + used, others = (uint64_t)job->block.kept * (k + 1);
  return bits >= others && ((bits - others) << k) + lane->rests + job->block.kept <= job->length;
}

/* A group of one k. */
static const char *check_group(const sap__sparse_job *jobs, size_t count, size_t *owner) {
  sap__walk_lane lanes[SAP__WALK_LANES] = {{0}};
  const int walk = count >= LANES_MIN && can_walk(jobs->block.k);
  for (size_t i = 0; walk && i < SAP__WALK_LANES; i++) { /* a lane too many walks along with the last one */
    const sap__sparse_job *job = &jobs[i < count ? i : count - 1];
    lanes[i] = (sap__walk_lane){.code = job->code, .bytes = job->block.bytes};
  }
  if (walk) sap__walk(jobs->block.k, lanes);
  for (size_t i = 0; i < count; i++) {
    if (walk && walked_well(&jobs[i], &lanes[i])) continue;
    const char *wrong = sap__sparse_check(jobs[i].block, jobs[i].code, jobs[i].length);
    if (!wrong) continue;
    *owner = jobs[i].owner;
    return wrong;
  }
  return NULL;
}

const char *sap__sparse_check_jobs(sap__sparse_job *jobs, size_t count, size_t *owner) {
  const char *wrong = NULL;
  if (!sap__walk_possible()) {
#pragma omp parallel for schedule(static) if (count > 4)
    for (size_t i = 0; i < count; i++) {
      size_t whose;
      const char *text = check_group(&jobs[i], 1, &whose);
      if (!text) continue;
#pragma omp critical
      wrong = text, *owner = whose;
    }
    return wrong;
  }
  if (count) qsort(jobs, count, sizeof *jobs, by_kind);
  size_t end;
  for (size_t start = 0; start < count && !wrong; start = end) {
    for (end = start; end < count && end - start < SAP__WALK_LANES && jobs[end].block.k == jobs[start].block.k;) end++;
    wrong = check_group(&jobs[start], end - start, owner);
  }
  return wrong;
}
