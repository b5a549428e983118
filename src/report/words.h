/* What a section's curves say, in sentences. Each is calculated, and only written where the numbers carry it. */
#ifndef SAP_REPORT_WORDS_H
#define SAP_REPORT_WORDS_H

#include "base/text.h"
#include "report/series.h"

/* Adds the sentences, separated by spaces. */
void sap__words_add(sap__text *text, const sap__section *section);

/* "89.64 ± 0.12 %", without the deviation of a single run; "–" for none. */
void sap__percent_add(sap__text *text, double mean, double sd);

/* Why an iteration is recommended, in a few words. */
void sap__why_add(sap__text *text, const sap_phases *phases);

/* A density in percent with three digits, "39.9 %", "0.412 %". */
void sap__density_add(sap__text *text, double density);

#endif
