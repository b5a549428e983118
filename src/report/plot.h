/* Figures for papers: scripts for gnuplot, and gnuplot itself. */
#ifndef SAP_REPORT_PLOT_H
#define SAP_REPORT_PLOT_H

#include "base/text.h"
#include "report/figure.h"
#include "report/series.h"

/* Adds the script that draws curves of a section. `header` sets terminal and colours of the ground. */
void sap__plot_curves(sap__text *script, const sap__section *section, const sap__figure *figure);

/* Adds the script that draws a heat map of layers against iterations for each series. */
void sap__plot_layers(sap__text *script, const sap__section *section, int density);

/* Adds the script that draws, for each series, the PQ Index with its phases and the accuracy. */
void sap__plot_phases(sap__text *script, const sap__section *section);

/* Runs gnuplot on a script and writes what it draws as the file `path`. gnuplot's own start-up files are not read.
 * Errors: SAP_ERROR_UNSUPPORTED (gnuplot is not installed), SAP_ERROR_IO (it failed: its first words, or the disk). */
sap_status sap__plot_run(const sap__text *script, const char *path, sap_error *err) SAP_WARN_UNUSED;

#endif
