#include "sapwood/version.h"

#include "sap_config.h"

const char *sap_version(void) { return SAP_VERSION; }
