/* Finding settings by name. */
#ifndef SAP_TRAIN_SETTINGS_H
#define SAP_TRAIN_SETTINGS_H

#include "sapwood/experiment.h"

/* NULL if there is none of that name. */
const sap_setting *sap__setting_find(const char *name);

#endif
