/* The summary of a report on stdout: as one JSON document, or as text. `written` are the files, as JSON strings. */
#ifndef CLI_REPORT_SHOW_H
#define CLI_REPORT_SHOW_H

#include <jansson.h>

#include "sapwood/report.h"

void report_show_json(json_t *written, const sap_report *report);
void report_show_text(const json_t *written, const sap_report *report);

#endif
