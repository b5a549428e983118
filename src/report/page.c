/* The page: words, tables, and the script that draws the rest, in one file. */
#include "report/page.h"

#include <string.h>

#include "base/error.h"
#include "io/atomic.h"
#include "report/assets.h"
#include "report/page_data.h"
#include "sapwood/version.h"

int sap_report_has_charts(void) { return sap__asset_charts.size > 0; }

static void add_asset(sap__text *page, const char *element, const sap__asset *asset) {
  sap__text_add(page, "<%s>\n", element);
  sap__text_add_bytes(page, asset->bytes, asset->size);
  sap__text_add(page, "\n</%s>\n", element);
}

/* The policy keeps the page to what is in it: nothing is loaded from anywhere. */
static void add_head(sap__text *page, const sap_report *report) {
  sap__text_add(page,
                "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
                "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
                "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; script-src 'unsafe-inline'; "
                "style-src 'unsafe-inline'; img-src data:\">\n"
                "<meta name=generator content=\"sapwood %s\">\n<title>",
                sap_version());
  sap__html_add(page, report->sections[0].model);
  sap__text_add(page, " on ");
  sap__html_add(page, report->sections[0].data);
  sap__text_add(page, "%s: Sapwood report</title>\n", report->section_count > 1 ? " and others" : "");
  add_asset(page, "style", &sap__asset_style);
  sap__text_add(page, "</head>\n");
}

static void add_notes(sap__text *page, const sap__report_runs *runs) {
  if (!runs->note_count) return;
  sap__text_add(page, "<ul class=\"notes faint\">\n");
  for (size_t i = 0; i < runs->note_count; i++) {
    sap__text_add(page, "<li>");
    sap__html_add(page, runs->notes[i]);
    sap__text_add(page, "</li>\n");
  }
  sap__text_add(page, "</ul>\n");
}

static void add_opening(sap__text *page, const sap_report *report) {
  size_t series = 0, runs = 0, finished = 0;
  for (size_t i = 0; i < report->section_count; i++) {
    for (size_t k = 0; k < report->sections[i].series_count; k++) {
      runs += report->sections[i].series[k].told.runs;
      finished += report->sections[i].series[k].told.finished;
    }
    series += report->sections[i].series_count;
  }
  sap__text_add(page, "<header><div><h1>How far can it be pruned?</h1>\n<p class=faint>%zu run%s in %zu series", runs,
                runs == 1 ? "" : "s", series);
  if (finished < runs) sap__text_add(page, "; %zu of them not finished", runs - finished);
  sap__text_add(page, ". Made by sapwood %s.</p></div>\n<button id=theme type=button>Dark</button></header>\n<main>\n",
                sap_version());
  add_notes(page, &report->runs);
}

static void add_section(sap__text *page, const sap__section *section, size_t i) {
  sap__text_add(page, "<section>\n<h2>");
  sap__html_add(page, section->model);
  sap__text_add(page, " on ");
  sap__html_add(page, section->data);
  sap__text_add(page, "</h2>\n<p class=words>");
  sap__html_add(page, section->words);
  sap__text_add(page, "</p>\n");
  sap__page_add_summary(page, section);
  sap__page_add_phases(page, section);
  sap__text_add(page, "<div id=part-%zu></div>\n", i);
  sap__page_add_densities(page, section);
  sap__page_add_settings(page, section);
  sap__page_add_runs(page, section);
  sap__text_add(page, "</section>\n");
}

sap_status sap_report_write_page(const sap_report *report, const char *path, sap_error *err) {
  sap__text page = {0};
  add_head(&page, report);
  sap__text_add(&page, "<body>\n");
  add_opening(&page, report);
  for (size_t i = 0; i < report->section_count; i++) add_section(&page, &report->sections[i], i);
  sap__text_add(&page,
                "<noscript><p>The curves need scripts to be allowed.</p></noscript>\n</main>\n"
                "<script type=application/json id=data>");
  sap_status status = sap__page_add_data(&page, report, err);
  sap__text_add(&page, "</script>\n");
  if (sap_report_has_charts()) add_asset(&page, "script", &sap__asset_charts);
  add_asset(&page, "script", &sap__asset_script);
  sap__text_add(&page, "</body>\n</html>\n");
  if (!status && page.failed) status = sap__fail_memory(err, page.capacity * 2);
  if (!status) status = sap__file_write(path, page.bytes, page.length, err);
  sap__text_free(&page);
  return status;
}
