#include "sapwood/report.h"

#include "base/error.h"
#include "base/memory.h"
#include "report/series.h"
#include "report/words.h"

static sap_status add_words(sap__section *section, sap_error *err) {
  sap__text text = {0};
  sap__words_add(&text, section);
  while (text.length && text.bytes[text.length - 1] == ' ') text.bytes[--text.length] = 0;
  section->words = text.failed ? NULL : sap__strdup(text.bytes ? text.bytes : "");
  sap__text_free(&text);
  return section->words ? SAP_OK : sap__fail(err, SAP_ERROR_MEMORY, "no memory for the words of the report");
}

static sap_status open_all(sap_report *report, const char *const *paths, size_t count, sap_error *err) {
  sap_status status = SAP_OK;
  for (size_t i = 0; i < count && !status; i++) status = sap__report_runs_add(&report->runs, paths[i], err);
  if (status) return status;
  if (!report->runs.count)
    return report->runs.note_count ? sap__fail(err, SAP_ERROR_NOT_FOUND, "%s", report->runs.notes[0])
                                   : sap__fail(err, SAP_ERROR_NOT_FOUND, "no run to report");
  status = sap__report_group(report, err);
  for (size_t i = 0; i < report->section_count && !status; i++) status = add_words(&report->sections[i], err);
  return status;
}

sap_status sap_report_open(const char *const *paths, size_t count, sap_report **report, sap_error *err) {
  sap_report *made = sap__calloc(1, sizeof *made);
  if (!made) return sap__fail_memory(err, sizeof *made);
  sap_status status = open_all(made, paths, count, err);
  if (status)
    sap_report_close(made);
  else
    *report = made;
  return status;
}

void sap_report_close(sap_report *report) {
  if (!report) return;
  sap__report_ungroup(report);
  sap__report_runs_free(&report->runs);
  sap__free(report);
}

const char *sap_report_note_at(const sap_report *report, size_t i) {
  return i < report->runs.note_count ? report->runs.notes[i] : NULL;
}

size_t sap_report_section_count(const sap_report *report) { return report->section_count; }

const char *sap_report_section_name(const sap_report *report, size_t section) {
  return section < report->section_count ? report->sections[section].name : NULL;
}

const sap_report_series *sap_report_series_at(const sap_report *report, size_t i) {
  for (size_t k = 0; k < report->section_count; i -= report->sections[k++].series_count)
    if (i < report->sections[k].series_count) return &report->sections[k].series[i].told;
  return NULL;
}

const char *sap_report_words(const sap_report *report, size_t section) {
  return section < report->section_count ? report->sections[section].words : NULL;
}
