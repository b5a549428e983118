/* Where the processor time of training steps goes, for callers that ask. */
#ifndef SAP_TRAIN_PROFILE_H
#define SAP_TRAIN_PROFILE_H

#include "train/trainer.h"

/* From now on the steps' time is taken, if the callbacks ask for it. */
sap_status sap__profile_start(sap__trainer *trainer, sap_error *err);

/* Processor seconds of this process, all threads; 0 when no profile is taken. */
double sap__profile_clock(const sap__trainer *trainer);

/* Hands the profile to the callback. */
void sap__profile_report(const sap__trainer *trainer);

#endif
