/* What measuring found on this processor, kept in the user's cache: sessions, and the implementations of engines. The
 * file may be missing, broken or unwritable; then it is measured again. */
#ifndef SAP_RUNTIME_REMEMBER_H
#define SAP_RUNTIME_REMEMBER_H

#include "engine/choices.h"
#include "runtime/session.h"

/* SAP_ERROR_MEMORY. */
sap_status sap__remember_read(sap__choices *choices, sap_error *err) SAP_WARN_UNUSED;
void sap__remember_write(sap__choices *choices);

/* The session that was chosen for this network, batch, number of threads and way; *session stays NULL if there was none
 * that fits. SAP_ERROR_MEMORY. */
sap_status sap__remember_session(const sap_model *model, const sap_session_options *options, sap__choices *choices,
                                 sap_session **session, sap_error *err) SAP_WARN_UNUSED;
void sap__remember_add(const sap_session *session, sap__choices *choices);

#endif
