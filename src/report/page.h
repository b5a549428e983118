/* The pieces of a page: HTML that is the same with and without its script. */
#ifndef SAP_REPORT_PAGE_H
#define SAP_REPORT_PAGE_H

#include "base/text.h"
#include "report/series.h"

/* Text between tags or in a quoted attribute: what would be markup is escaped. */
void sap__html_add(sap__text *page, const char *words);

/* The tables of a section: its summary, where to stop, accuracy at equal densities, settings and runs. */
void sap__page_add_summary(sap__text *page, const sap__section *section);
void sap__page_add_phases(sap__text *page, const sap__section *section);
void sap__page_add_densities(sap__text *page, const sap__section *section);
void sap__page_add_settings(sap__text *page, const sap__section *section);
void sap__page_add_runs(sap__text *page, const sap__section *section);

#endif
