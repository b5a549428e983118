/* The optional parts of the build. Here, because only the engines know the libraries they stand on. */
#include <jansson.h>
#include <zlib.h>

#include "sap_config.h"
#include "sapwood/version.h"

#if SAP_HAVE_ONEDNN
extern const char sap__onednn_version[];
#endif

static const sap_feature features[] = {
#if SAP_HAVE_ONEDNN
    {"onednn", 1, sap__onednn_version},
#else
    {"onednn", 0, "not in this build: training uses the slow reference engine"},
#endif
#if !SAP_HAVE_OPENMP
    {"openmp", 0, "not in this build: one thread"},
#elif _OPENMP >= 202011
    {"openmp", 1, "5.1 or later"},
#elif _OPENMP >= 201811
    {"openmp", 1, "5.0"},
#else
    {"openmp", 1, "4.5 or earlier"},
#endif
#if SAP_HAVE_CHARTS
    {"charts", 1, "Chart.js, in the pages of report"},
#else
    {"charts", 0, "not in this build: the pages of report have tables only"},
#endif
#if SAP_HAVE_JPEG
    {"jpeg", 1, SAP_JPEG_VERSION},
#else
    {"jpeg", 0, "not in this build: no JPEG pictures"},
#endif
#if SAP_HAVE_PNG
    {"png", 1, SAP_PNG_VERSION},
#else
    {"png", 0, "not in this build: no PNG pictures"},
#endif
    {"zlib", 1, ZLIB_VERSION},
    {"jansson", 1, JANSSON_VERSION},
};

const sap_feature *sap_features(size_t *count) {
  *count = sizeof features / sizeof features[0];
  return features;
}
