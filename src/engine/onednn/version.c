/* The version of oneDNN that this build was made for. */
#include "engine/onednn/compat.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

extern const char sap__onednn_version[];
const char sap__onednn_version[] = TEXT(DNNL_VERSION_MAJOR) "." TEXT(DNNL_VERSION_MINOR) "." TEXT(DNNL_VERSION_PATCH);
