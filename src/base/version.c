#include "sapwood/version.h"

#include "sap_config.h"

const char *sap_version(void) { return SAP_VERSION; }

static const sap_feature features[] = {
#if SAP_HAVE_ONEDNN
    {"onednn", 1, "CPU engine for training"},
#else
    {"onednn", 0, "not in this build: training uses the slow reference engine"},
#endif
#if SAP_HAVE_OPENMP
    {"openmp", 1, "threads"},
#else
    {"openmp", 0, "not in this build: one thread"},
#endif
};

const sap_feature *sap_features(size_t *count) {
  *count = sizeof features / sizeof features[0];
  return features;
}
