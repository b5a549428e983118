/* The engines of this build, in order of preference. */
#include "engine/engine.h"

#include <string.h>

#include "sap_config.h"
#include "sapwood/model.h"

extern const sap__engine sap__engine_ref;
#if SAP_HAVE_ONEDNN
extern const sap__engine sap__engine_onednn;
#endif

static const sap__engine *const engines[] = {
#if SAP_HAVE_ONEDNN
    &sap__engine_onednn,
#endif
    &sap__engine_ref,
};
static const size_t engine_count = sizeof engines / sizeof engines[0];

const char *sap_engine_name_at(size_t i) { return i < engine_count ? engines[i]->name : NULL; }

const sap__engine *sap__engine_find(const char *name) {
  if (!name || !strcmp(name, "auto")) return engines[0];
  for (size_t i = 0; i < engine_count; i++)
    if (!strcmp(engines[i]->name, name)) return engines[i];
  return NULL;
}
