/* What measuring found on this machine, for the next session of the same network: a shortcut that may be missing. */
#ifndef SAP_RUNTIME_REMEMBER_H
#define SAP_RUNTIME_REMEMBER_H

#include "runtime/session.h"

/* The way and the tiles that were the fastest before for this network, density, batch and number of threads, as a
 * session. *session stays NULL if nothing is known, or what is known does not fit. */
sap_status sap__remember_session(const sap_model *model, const sap_session_options *options, sap_session **session,
                                 sap_error *err) SAP_WARN_UNUSED;

/* Keeps what a measured session found; a file that cannot be written is passed over. */
void sap__remember_keep(const sap_session *session);

#endif
