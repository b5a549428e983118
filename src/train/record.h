/* What a run reports, as lines of metrics.jsonl. */
#ifndef SAP_TRAIN_RECORD_H
#define SAP_TRAIN_RECORD_H

#include "sapwood/experiment.h"

/* One line with its newline; freed with free(). NULL without memory. Numbers %.9g, NaN as null. */
char *sap__epoch_line(const sap_epoch_record *record);
char *sap__iteration_line(const sap_iteration_record *record);

#endif
