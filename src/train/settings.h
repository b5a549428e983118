/* Finding settings by name. */
#ifndef SAP_TRAIN_SETTINGS_H
#define SAP_TRAIN_SETTINGS_H

#include "sapwood/experiment.h"

/* NULL if there is none of that name. */
const sap_setting *sap__setting_find(const char *name);

/* The first setting in which two experiments differ, with its text in each; NULL if they are the same. */
const sap_setting *sap__setting_difference(const sap_experiment *a, const sap_experiment *b, char in_a[SAP_TEXT_SIZE],
                                           char in_b[SAP_TEXT_SIZE]);

#endif
