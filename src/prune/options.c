#include <math.h>

#include "base/error.h"
#include "sapwood/prune.h"

#define NAME_ROW(constant, name) name,
static const char *const scopes[SAP_SCOPE_COUNT] = {SAP_SCOPE_LIST(NAME_ROW)};
static const char *const methods[SAP_METHOD_COUNT] = {SAP_METHOD_LIST(NAME_ROW)};
#undef NAME_ROW

const char *sap_scope_name(sap_scope scope) { return (unsigned)scope < SAP_SCOPE_COUNT ? scopes[scope] : "?"; }

const char *sap_method_name(sap_method method) { return (unsigned)method < SAP_METHOD_COUNT ? methods[method] : "?"; }

sap_prune_options sap_prune_options_default(void) {
  return (sap_prune_options){.method = SAP_METHOD_SAP,
                             .scope = SAP_SCOPE_GLOBAL,
                             .p = 0.5,
                             .q = 1,
                             .eta = 0,
                             .gamma = 1,
                             .beta = 0.9,
                             .ratio = 0.2};
}

sap_status sap_prune_options_check(const sap_prune_options *options, sap_error *err) {
  if ((unsigned)options->method >= SAP_METHOD_COUNT)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "method %d: expected 0 to %d", (int)options->method,
                     SAP_METHOD_COUNT - 1);
  if ((unsigned)options->scope >= SAP_SCOPE_COUNT)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "scope %d: expected 0 to %d", (int)options->scope, SAP_SCOPE_COUNT - 1);
  sap_status status = sap_pq_check(options->p, options->q, err);
  if (status) return status;
  if (!(options->eta > -1 && isfinite(options->eta)))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "eta %g: expected eta > -1", options->eta);
  if (!(options->gamma >= 0 && isfinite(options->gamma)))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "gamma %g: expected gamma >= 0", options->gamma);
  if (!(options->beta >= 0 && options->beta <= 1))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "beta %g: expected 0 <= beta <= 1", options->beta);
  if (!(options->ratio >= 0 && options->ratio < 1))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "ratio %g: expected 0 <= ratio < 1", options->ratio);
  if (!(options->density >= 0 && options->density <= 1))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "density %g: expected 0 <= density <= 1", options->density);
  return SAP_OK;
}
