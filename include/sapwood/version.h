/* The library's version, and what this build and machine can do. */
#ifndef SAPWOOD_VERSION_H
#define SAPWOOD_VERSION_H

#include <stddef.h>

#include "sapwood/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0" and so on. Static storage. */
SAP_API const char *sap_version(void);

/* One optional part of the build: "onednn" with its detail "2.6.0", "openmp" … */
typedef struct sap_feature {
  const char *name;
  int enabled;        /* 1: compiled in */
  const char *detail; /* version or reason; never NULL */
} sap_feature;

/* The table of optional parts; *count receives its length. Static storage. */
SAP_API const sap_feature *sap_features(size_t *count);

#ifdef __cplusplus
}
#endif
#endif
