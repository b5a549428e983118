#include "io/sparse_check.h"

#include <string.h>

#include "io/sparse_walk.h"

/* Fewer codes are checked one after the other. */
enum { LANES_MIN = 4 };

static int can_walk(uint32_t k) { return k >= 1 && k <= SAP__WALK_K_MAX; }

/* 1 if what was found on the way is that of a code by the rules; 0 if one has to look again. */
static int walked_well(const sap__sparse_job *job, const sap__walk_lane *lane) {
  const uint32_t k = job->block.k, last = job->code[job->block.bytes - 1];
  uint32_t used = lane->before; /* bits of the last byte, up to where the last gap ends */
  while (used < 8 && last >> used) used += (uint32_t)__builtin_ctz(last >> used) + 1 + k;
  if (used > 8 || !used || lane->kept != job->block.kept) return 0;
  const uint64_t bits = 8 * (uint64_t)(job->block.bytes - 1) + used, others = (uint64_t)job->block.kept * (k + 1);
  return bits >= others && ((bits - others) << k) + lane->rests + job->block.kept <= job->length;
}

/* Codes of one k, as many as there are lanes at most. */
static const char *check_group(const sap__sparse_job *const *jobs, size_t count, size_t *owner) {
  sap__walk_lane lanes[SAP__WALK_LANES];
  const int walk = count >= LANES_MIN && can_walk(jobs[0]->block.k);
  for (size_t i = 0; walk && i < SAP__WALK_LANES; i++) { /* a lane too many walks along with the last one */
    const sap__sparse_job *job = jobs[i < count ? i : count - 1];
    lanes[i] = (sap__walk_lane){.code = job->code, .bytes = job->block.bytes};
  }
  if (walk) sap__walk(jobs[0]->block.k, lanes);
  for (size_t i = 0; i < count; i++) {
    if (walk && walked_well(jobs[i], &lanes[i])) continue;
    const char *wrong = sap__sparse_check(jobs[i]->block, jobs[i]->code, jobs[i]->length);
    if (!wrong) continue;
    *owner = jobs[i]->owner;
    return wrong;
  }
  return NULL;
}

/* Without anything to walk with. */
static const char *check_each(const sap__sparse_job *jobs, size_t count, size_t *owner) {
  const char *wrong = NULL;
#pragma omp parallel for schedule(static) if (count > 4)
  for (size_t i = 0; i < count; i++) {
    const char *text = sap__sparse_check(jobs[i].block, jobs[i].code, jobs[i].length);
    if (!text) continue;
#pragma omp critical
    wrong = text, *owner = jobs[i].owner;
  }
  return wrong;
}

/* Jobs by how long their codes are: those that are walked through together had better be as long as each other. */
enum { LENGTHS = 64, LENGTH = SAP__SPARSE_CODE_MAX / LENGTHS, KINDS = SAP__SPARSE_K_MAX + 1, NONE = UINT32_MAX };
typedef struct by_length {
  uint32_t first[LENGTHS]; /* of each length, then job after job by its `next` */
} by_length;

static void sort_jobs(sap__sparse_job *jobs, size_t count, by_length kinds[KINDS]) {
  memset(kinds, UINT8_MAX, KINDS * sizeof *kinds); /* NONE */
  for (size_t i = count; i-- > 0;) {
    uint32_t *first = &kinds[jobs[i].block.k].first[(jobs[i].block.bytes - 1) / LENGTH];
    jobs[i].next = *first;
    *first = (uint32_t)i;
  }
}

static const char *check_kind(const sap__sparse_job *jobs, const by_length *kind, size_t *owner) {
  const sap__sparse_job *group[SAP__WALK_LANES];
  const char *wrong = NULL;
  size_t count = 0;
  for (int length = LENGTHS - 1; length >= 0 && !wrong; length--)
    for (uint32_t i = kind->first[length]; i != NONE && !wrong; i = jobs[i].next) {
      group[count++] = &jobs[i];
      if (count < SAP__WALK_LANES) continue;
      wrong = check_group(group, count, owner);
      count = 0;
    }
  return wrong || !count ? wrong : check_group(group, count, owner);
}

const char *sap__sparse_check_jobs(sap__sparse_job *jobs, size_t count, size_t *owner) {
  by_length kinds[KINDS];
  const char *wrong = NULL;
  if (!sap__walk_possible() || count >= NONE) return check_each(jobs, count, owner);
  sort_jobs(jobs, count, kinds);
  for (int k = 0; k < KINDS && !wrong; k++) wrong = check_kind(jobs, &kinds[k], owner);
  return wrong;
}
