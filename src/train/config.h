/* config.json: every setting of a run, the version and the machine. */
#ifndef SAP_TRAIN_CONFIG_H
#define SAP_TRAIN_CONFIG_H

#include "sapwood/experiment.h"

sap_status sap__config_write(const char *path, const sap_experiment *experiment, sap_error *err);
sap_status sap__config_read(const char *path, sap_experiment *experiment, sap_error *err);

/* SAP_ERROR_MISMATCH naming the first setting in which the two differ. */
sap_status sap__config_compare(const char *path, const sap_experiment *in_run, const sap_experiment *asked,
                               sap_error *err);

#endif
