/* The numbers of a page as the JSON that its script reads. */
#ifndef SAP_REPORT_PAGE_DATA_H
#define SAP_REPORT_PAGE_DATA_H

#include "base/text.h"
#include "sapwood/report.h"

/* Adds the JSON, written so that it can stand inside a script element. SAP_ERROR_MEMORY. */
sap_status sap__page_add_data(sap__text *page, const sap_report *report, sap_error *err) SAP_WARN_UNUSED;

#endif
