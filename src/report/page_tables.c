/* The tables of a page, which stand there without a script, too. */
#include <math.h>
#include <string.h>

#include "report/compare.h"
#include "report/page.h"
#include "report/words.h"

void sap__html_add(sap__text *page, const char *words) {
  static const char marks[] = "&<>\"'";
  static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
  while (*words) {
    const size_t plain = strcspn(words, marks);
    sap__text_add_bytes(page, words, plain);
    words += plain;
    if (*words) sap__text_add(page, "%s", names[strchr(marks, *words++) - marks]);
  }
}

static void add_name(sap__text *page, const sap__section *section, const sap__series *series) {
  sap__text_add(page, "<tr><th scope=row><span class=swatch data-series=%zu></span>",
                (size_t)(series - section->series));
  sap__html_add(page, series->name);
  sap__text_add(page, "</th>");
}

static void add_limit(sap__text *page, const sap_report_limit *limit) {
  if (limit->iteration < 0) {
    sap__text_add(page, "<td>–</td><td>–</td><td>–</td>");
    return;
  }
  sap__text_add(page, "<td>");
  sap__density_add(page, limit->density);
  sap__text_add(page, "</td><td>%d</td><td>", limit->iteration);
  sap__percent_add(page, limit->accuracy, limit->accuracy_sd);
  sap__text_add(page, "</td>");
}

void sap__page_add_summary(sap__text *page, const sap__section *section) {
  sap__text_add(page,
                "<h3>Summary</h3>\n<p class=faint>The smallest density at which the mean accuracy "
                "is within so many points of the one with all weights, and the iteration that has it. After ±: the "
                "standard deviation over the runs.</p>\n<div class=scroll><table>\n<thead><tr><th "
                "rowspan=2>series</th><th rowspan=2>runs"
                "</th><th rowspan=2>dense accuracy</th>");
  for (size_t i = 0; i < SAP_REPORT_LIMITS; i++)
    sap__text_add(page, "<th colspan=3>within %g point%s</th>", section->series[0].told.limits[i].points,
                  section->series[0].told.limits[i].points > 1 ? "s" : "");
  sap__text_add(page, "</tr><tr>");
  for (size_t i = 0; i < SAP_REPORT_LIMITS; i++)
    sap__text_add(page, "<th>density</th><th>iteration</th><th>accuracy</th>");
  sap__text_add(page, "</tr></thead>\n<tbody>\n");
  for (size_t i = 0; i < section->series_count; i++) {
    const sap__series *series = &section->series[i];
    add_name(page, section, series);
    sap__text_add(page, "<td>%zu</td><td>", series->run_count);
    sap__percent_add(page, series->told.dense_accuracy, series->told.dense_accuracy_sd);
    sap__text_add(page, "</td>");
    for (size_t k = 0; k < SAP_REPORT_LIMITS; k++) add_limit(page, &series->told.limits[k]);
    sap__text_add(page, "</tr>\n");
  }
  sap__text_add(page, "</tbody></table></div>\n");
}

/* When a phase ends, or what became of it. */
static void add_turn(sap__text *page, int turn) {
  if (turn >= 0)
    sap__text_add(page, "<td>%d</td>", turn);
  else
    sap__text_add(page, "<td>–</td>");
}

void sap__page_add_phases(sap__text *page, const sap__section *section) {
  sap__text_add(
      page,
      "<h3>Where to stop</h3>\n<p class=faint>By the mean PQ Index at the method's scope and the density alone, "
      "without a look at the accuracy: while a halving of the weights still lowers the index, it is "
      "regularization; then compression; collapse when it falls again.</p>\n<div "
      "class=scroll><table>\n<thead><tr><th>series</th><th>index falls "
      "until</th><th>rises until</th><th>stop at</th>"
      "<th>runs alone</th><th>density</th><th>accuracy</th><th class=why>why</th></tr></thead>\n<tbody>\n");
  for (size_t i = 0; i < section->series_count; i++) {
    const sap_report_series *told = &section->series[i].told;
    add_name(page, section, &section->series[i]);
    add_turn(page, told->phases.valley);
    add_turn(page, told->phases.peak);
    add_turn(page, told->phases.recommended);
    if (told->recommended_low < told->recommended_high)
      sap__text_add(page, "<td>%d to %d</td><td>", told->recommended_low, told->recommended_high);
    else
      sap__text_add(page, "<td></td><td>");
    sap__density_add(page, told->recommended_density);
    sap__text_add(page, "</td><td>");
    sap__percent_add(page, told->recommended_accuracy, told->recommended_accuracy_sd);
    sap__text_add(page, "</td><td class=why>");
    sap__why_add(page, &told->phases);
    sap__text_add(page, "</td></tr>\n");
  }
  sap__text_add(page, "</tbody></table></div>\n");
}

void sap__page_add_densities(sap__text *page, const sap__section *section) {
  sap__text_add(page,
                "<h3>Accuracy at equal density</h3>\n<p class=faint>Each run's, interpolated "
                "between its iterations; mean and standard deviation. In brackets: how many runs get there, if not all."
                "</p>\n<div class=scroll><table>\n<thead><tr><th>series</th>");
  for (size_t d = 0; d < SAP__DENSITY_COUNT; d++) sap__text_add(page, "<th>%g %%</th>", 100 * sap__densities[d]);
  sap__text_add(page, "</tr></thead>\n<tbody>\n");
  for (size_t i = 0; i < section->series_count; i++) {
    add_name(page, section, &section->series[i]);
    for (size_t d = 0; d < SAP__DENSITY_COUNT; d++) {
      const sap__stat stat = sap__accuracy_at(&section->series[i], sap__densities[d]);
      sap__text_add(page, "<td>");
      sap__percent_add(page, stat.mean, stat.sd);
      if (stat.n && (size_t)stat.n < section->series[i].run_count)
        sap__text_add(page, " (%d of %zu)", stat.n, section->series[i].run_count);
      sap__text_add(page, "</td>");
    }
    sap__text_add(page, "</tr>\n");
  }
  sap__text_add(page, "</tbody></table></div>\n");
}

/* ---- settings ---- */

static void add_value(sap__text *page, const sap_setting *setting, const sap_experiment *settings) {
  char value[SAP_TEXT_SIZE];
  sap__text tidy = {0};
  sap_experiment_get(settings, setting, value, sizeof value);
  sap__text_add_tidy(&tidy, value);
  page->failed |= tidy.failed;
  if (tidy.bytes) sap__html_add(page, tidy.bytes);
  sap__text_free(&tidy);
}

/* Whether the setting is told at all: seeds and threads stand in the table of runs. */
static int is_told(const sap__section *section, const sap_setting *setting) {
  for (size_t i = 0; i < section->series_count; i++)
    if (sap__setting_matters(setting, &section->series[i].runs[0]->settings)) return 1;
  return 0;
}

static void add_shared_settings(sap__text *page, const sap__section *section) {
  size_t count;
  const sap_setting *table = sap_experiment_settings(&count);
  sap__text_add(page, "<p>");
  for (size_t i = 0, told = 0; i < count; i++) {
    if (!is_told(section, &table[i]) || sap__setting_differs(section, &table[i])) continue;
    const sap__series *one = &section->series[0];
    for (size_t k = 0; k < section->series_count && !sap__setting_matters(&table[i], &one->runs[0]->settings); k++)
      one = &section->series[k];
    sap__text_add(page, "%s%s ", told++ ? ", " : "", table[i].name);
    add_value(page, &table[i], &one->runs[0]->settings);
  }
  sap__text_add(page, ".</p>\n");
}

void sap__page_add_settings(sap__text *page, const sap__section *section) {
  size_t count, differing = 0;
  const sap_setting *table = sap_experiment_settings(&count);
  sap__text_add(page, "<h3>Settings</h3>\n");
  add_shared_settings(page, section);
  for (size_t i = 0; i < count; i++) differing += (size_t)sap__setting_differs(section, &table[i]);
  if (!differing) return;
  sap__text_add(page, "<div class=scroll><table class=words-left><thead><tr><th>series</th>");
  for (size_t i = 0; i < count; i++)
    if (sap__setting_differs(section, &table[i])) sap__text_add(page, "<th>%s</th>", table[i].name);
  sap__text_add(page, "</tr></thead>\n<tbody>\n");
  for (size_t k = 0; k < section->series_count; k++) {
    const sap_experiment *settings = &section->series[k].runs[0]->settings;
    add_name(page, section, &section->series[k]);
    for (size_t i = 0; i < count; i++) {
      if (!sap__setting_differs(section, &table[i])) continue;
      sap__text_add(page, "<td>");
      if (sap__setting_matters(&table[i], settings))
        add_value(page, &table[i], settings);
      else
        sap__text_add(page, "–");
      sap__text_add(page, "</td>");
    }
    sap__text_add(page, "</tr>\n");
  }
  sap__text_add(page, "</tbody></table></div>\n");
}

/* ---- runs ---- */

static void add_state(sap__text *page, const sap__report_run *run) {
  const sap__metrics *metrics = &run->metrics;
  if (run->finished) {
    if (metrics->stopped)
      sap__text_add(page, "ended itself in iteration %zu", metrics->count - 1);
    else
      sap__text_add(page, "finished");
    return;
  }
  sap__text_add(page, "%zu of %ld iterations", metrics->count, run->settings.iterations + 1L);
  if (metrics->iteration >= 0 && (size_t)metrics->iteration >= metrics->count)
    sap__text_add(page, ", epoch %d of %d", metrics->epoch, run->settings.epochs);
}

void sap__page_add_runs(sap__text *page, const sap__section *section) {
  size_t runs = 0;
  for (size_t i = 0; i < section->series_count; i++) runs += section->series[i].run_count;
  sap__text_add(page,
                "<div class=plain><h3>Runs</h3>\n<details><summary>%zu run%s</summary>\n<div class=scroll><table "
                "class=words-left>"
                "<thead><tr><th>run</th><th>series</th><th>seed</th><th>state</th><th>made by</th></tr></thead>\n"
                "<tbody>\n",
                runs, runs == 1 ? "" : "s");
  for (size_t i = 0; i < section->series_count; i++) {
    const sap__series *series = &section->series[i];
    for (size_t r = 0; r < series->run_count; r++) {
      const sap__report_run *run = series->runs[r];
      sap__text_add(page, "<tr><td>");
      sap__html_add(page, run->label);
      sap__text_add(page, "</td><td>");
      sap__html_add(page, series->name);
      sap__text_add(page, "</td><td>%llu</td><td>", (unsigned long long)run->settings.seed);
      add_state(page, run);
      sap__text_add(page, "</td><td>");
      sap__html_add(page, run->origin);
      sap__text_add(page, "</td></tr>\n");
    }
  }
  sap__text_add(page, "</tbody></table></div></details></div>\n");
}
