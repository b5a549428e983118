/* Where a run is, from the lines that its metrics.jsonl gains while another process writes it. */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "sapwood/experiment.h"

typedef struct follow {
  char path[SAP_TEXT_SIZE + 32]; /* of metrics.jsonl */
  long at;                       /* bytes that were read: whole lines */
  int iteration, epoch;          /* of the last epoch that ended; epoch 0: none yet */
  double accuracy;               /* of the last line, on the test set; NaN: none yet */
} follow;

void follow_start(follow *f, const char *run);

/* Reads what is new. A file that became shorter, as after --resume, is read again from its beginning. */
void follow_update(follow *f);

#endif
