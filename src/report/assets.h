/* Files that the build puts into the library as bytes (scripts/embed.py). */
#ifndef SAP_REPORT_ASSETS_H
#define SAP_REPORT_ASSETS_H

#include <stddef.h>

typedef struct sap__asset {
  const char *bytes;
  size_t size; /* 0: the build did not find the file */
} sap__asset;

extern const sap__asset sap__asset_style, sap__asset_script, sap__asset_charts;

#endif
