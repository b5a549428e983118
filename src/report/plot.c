/* The figures of a section: what there is, and how large. */
#include "report/plot.h"

#include "base/error.h"

/* After the curves of sap__figures come those with a panel for each series. */
static void plot_density(sap__text *script, const sap__section *section) { sap__plot_layers(script, section, 1); }
static void plot_pqi(sap__text *script, const sap__section *section) { sap__plot_layers(script, section, 0); }

static const struct {
  const char *name, *text;
  void (*plot)(sap__text *script, const sap__section *section);
  size_t height, height_of_layer; /* of a panel, and more for each layer */
} panels[] = {
    {"phases", "PQ Index at the scope and accuracy of each series, and where to stop", sap__plot_phases, 260, 0},
    {"layers-density", "Density of each layer", plot_density, 110, 16},
    {"layers-pqi", "PQ Index of each layer", plot_pqi, 110, 16},
};
static const size_t panel_count = sizeof panels / sizeof *panels;

static const char *const formats[SAP_FIGURE_FORMATS] = {"svg", "png"};

const char *sap_report_figure_name_at(size_t i) {
  if (i < sap__figure_count) return sap__figures[i].name;
  return i - sap__figure_count < panel_count ? panels[i - sap__figure_count].name : NULL;
}

const char *sap_report_figure_text_at(size_t i) {
  if (i < sap__figure_count) return sap__figures[i].title;
  return i - sap__figure_count < panel_count ? panels[i - sap__figure_count].text : NULL;
}

const char *sap_figure_format_name(sap_figure_format format) { return formats[format]; }

/* Sizes in pixels of 1/96 inch; a PNG has two of its own for each, for print. */
static void add_terminal(sap__text *script, sap_figure_format format, size_t width, size_t height) {
  if (format == SAP_FIGURE_SVG)
    sap__text_add(script, "set terminal svg size %zu,%zu noenhanced font 'Helvetica,14' background '#ffffff'\n", width,
                  height);
  else
    sap__text_add(script,
                  "set terminal pngcairo size %zu,%zu noenhanced font 'Helvetica,22' linewidth 2 pointscale 2 "
                  "background '#ffffff'\n",
                  2 * width, 2 * height);
  sap__text_add(script, "set encoding utf8\n");
}

static size_t most_layers(const sap__section *section) {
  size_t most = 1;
  for (size_t i = 0; i < section->series_count; i++)
    if (section->series[i].layer_count > most) most = section->series[i].layer_count;
  return most;
}

static void add_script(sap__text *script, const sap__section *section, size_t i, sap_figure_format format) {
  if (i < sap__figure_count) {
    /* The key beside the curves has a line for each series. */
    const size_t key = 40 + 22 * section->series_count;
    add_terminal(script, format, 800, key > 440 ? key : 440);
    sap__plot_curves(script, section, &sap__figures[i]);
  } else {
    const size_t k = i - sap__figure_count, rows = (section->series_count + 1) / 2;
    const size_t height = panels[k].height + panels[k].height_of_layer * most_layers(section);
    add_terminal(script, format, 1000, 40 + rows * height);
    panels[k].plot(script, section);
  }
}

sap_status sap_report_write_figure(const sap_report *report, size_t section, size_t i, sap_figure_format format,
                                   const char *path, sap_error *err) {
  if (!sap_report_figure_name_at(i) || section >= report->section_count || (unsigned)format >= SAP_FIGURE_FORMATS)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "figure %zu of section %zu as format %d: there is none", i, section,
                     (int)format);
  sap__text script = {0};
  add_script(&script, &report->sections[section], i, format);
  sap_status status = script.failed ? sap__fail_memory(err, script.capacity * 2) : sap__plot_run(&script, path, err);
  sap__text_free(&script);
  return status;
}
