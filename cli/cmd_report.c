/* sapwood report: what runs show, as a page, tables or figures. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "report_show.h"

enum { PATH_SIZE = 4096 };

typedef enum format { FORMAT_HTML, FORMAT_CSV, FORMAT_SVG, FORMAT_PNG } format;

static const char *format_name_at(size_t i) {
  static const char *const names[] = {"html", "csv", "svg", "png", NULL};
  return names[i];
}

typedef struct request {
  const char *self, *output;
  const arguments *parsed;
  format format;
  int json, force;
  json_t *written; /* the files, as strings */
} request;

/* ---- writing ---- */

/* One thing to write. */
typedef struct item {
  size_t section, i;
  char path[PATH_SIZE];
} item;

static const char *item_name_at(format f, size_t i) {
  return f == FORMAT_CSV ? sap_report_table_name_at(i) : sap_report_figure_name_at(i);
}

/* Whether --only asks for it, or for nothing. */
static int is_wanted(const request *r, const char *name) {
  const char *only;
  size_t at = 0, asked = 0;
  for (; (only = option_next(r->parsed, "only", &at)); asked++)
    if (strcmp(only, name) == 0) return 1;
  return asked == 0;
}

/* Calls visit for each file to write, with its path, until one fails. Tables hold all sections; figures are one's,
 * whose name comes first where there are several. */
static int each_item(const request *r, const sap_report *report,
                     int (*visit)(const request *, const sap_report *, item *)) {
  const size_t sections = r->format == FORMAT_CSV || r->format == FORMAT_HTML ? 1 : sap_report_section_count(report);
  int code = EXIT_DONE;
  item one = {0};
  if (r->format == FORMAT_HTML) {
    snprintf(one.path, sizeof one.path, "%s", r->output);
    return visit(r, report, &one);
  }
  for (; one.section < sections; one.section++) {
    const char *section = sections > 1 ? sap_report_section_name(report, one.section) : "", *name;
    for (one.i = 0; (name = item_name_at(r->format, one.i)) != NULL && code == EXIT_DONE; one.i++) {
      if (!is_wanted(r, name)) continue;
      if (snprintf(one.path, sizeof one.path, "%s/%s%s%s.%s", r->output, section, *section ? "-" : "", name,
                   format_name_at(r->format)) >= PATH_SIZE)
        return failure(r->self, "%s: the path is too long", r->output);
      code = visit(r, report, &one);
    }
  }
  return code;
}

/* The file may be written: it is not there, or may be replaced. */
static int check_item(const request *r, const sap_report *report, item *one) {
  (void)report;
  struct stat status;
  if (r->force || stat(one->path, &status) != 0) return EXIT_DONE;
  return failure(r->self, "%s: exists already; --force overwrites it", one->path);
}

static int write_item(const request *r, const sap_report *report, item *one) {
  sap_error err;
  sap_status status = SAP_OK;
  switch (r->format) {
    case FORMAT_HTML: status = sap_report_write_page(report, one->path, &err); break;
    case FORMAT_CSV: status = sap_report_write_table(report, one->i, one->path, &err); break;
    case FORMAT_SVG:
      status = sap_report_write_figure(report, one->section, one->i, SAP_FIGURE_SVG, one->path, &err);
      break;
    case FORMAT_PNG:
      status = sap_report_write_figure(report, one->section, one->i, SAP_FIGURE_PNG, one->path, &err);
      break;
  }
  if (status != SAP_OK) return failure(r->self, "%s", err.text);
  json_array_append_new(r->written, json_string(one->path));
  return EXIT_DONE;
}

static int write_items(const request *r, const sap_report *report) {
  int code = each_item(r, report, check_item);
  if (code != EXIT_DONE) return code;
  if (r->format == FORMAT_HTML && !sap_report_has_charts())
    fprintf(stderr, "sapwood %s: this build has no Chart.js (Debian: libjs-chart.js): the page has tables only\n",
            r->self);
  if (r->format != FORMAT_HTML && mkdir(r->output, 0777) != 0 && errno != EEXIST)
    return failure(r->self, "%s: %s", r->output, strerror(errno));
  return each_item(r, report, write_item);
}

/* ---- the command ---- */

/* Every --only names something that the format has. */
static int check_only(const request *r) {
  const char *only;
  for (size_t at = 0; (only = option_next(r->parsed, "only", &at));) {
    if (r->format == FORMAT_HTML) return usage_error(r->self, "--only: the page is one file");
    size_t i = 0;
    while (item_name_at(r->format, i) && strcmp(item_name_at(r->format, i), only) != 0) i++;
    if (!item_name_at(r->format, i))
      return usage_error(r->self, "--only %s: expected one of the %s", only,
                         r->format == FORMAT_CSV ? "tables" : "figures");
  }
  return EXIT_DONE;
}

static int read_request(const command *self, const arguments *parsed, request *r) {
  int chosen = FORMAT_HTML;
  *r = (request){.self = self->name,
                 .output = option_value(parsed, "output"),
                 .parsed = parsed,
                 .json = option_given(parsed, "json"),
                 .force = option_given(parsed, "force")};
  if (parsed->operand_count == 0) return usage_error(self->name, "a run directory, or a folder of them, is needed");
  const int code = option_word(self->name, parsed, "format", format_name_at, &chosen);
  if (code != EXIT_DONE) return code;
  r->format = (format)chosen;
  if (!r->output) return usage_error(self->name, "-o is needed: the file or folder to write");
  return check_only(r);
}

static int report_runs(const command *self, const arguments *parsed) {
  request r;
  sap_report *report;
  sap_error err;
  int code = read_request(self, parsed, &r);
  if (code != EXIT_DONE) return code;
  if (sap_report_open(parsed->operands, parsed->operand_count, &report, &err) != SAP_OK)
    return failure(self->name, "%s", err.text);
  for (size_t i = 0; sap_report_note_at(report, i); i++)
    fprintf(stderr, "sapwood %s: %s\n", self->name, sap_report_note_at(report, i));
  r.written = json_array();
  code = write_items(&r, report);
  if (code == EXIT_DONE && r.json) report_show_json(r.written, report);
  if (code == EXIT_DONE && !r.json) report_show_text(r.written, report);
  json_decref(r.written);
  sap_report_close(report);
  return code;
}

static const option options[] = {
    {'o', "output", "OUT", NULL, "the page to write; with other formats the folder"},
    {0, "format", "F", "html, csv, svg or png", "one page; tables; figures for print, by gnuplot; without it html"},
    {0, "only", "NAME", NULL, "only this of the tables or figures, not all; may be repeated"},
    {'f', "force", NULL, NULL, "overwrite files that exist"},
    {0, "json", NULL, NULL, "print one JSON document"},
    {0, NULL, NULL, NULL, NULL},
};

static const name_list tables_and_figures[] = {
    {"Tables", sap_report_table_name_at, sap_report_table_text_at},
    {"Figures", sap_report_figure_name_at, sap_report_figure_text_at},
    {NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood report runs/paper -o report.html", "one run as a page"},
    {"sapwood report runs -o report.html", "all runs in a folder, methods side by side"},
    {"sapwood report runs --format csv -o tables", "the numbers behind it"},
    {"sapwood report runs --format svg --only tradeoff -o figures", "a figure for a paper"},
    {NULL, NULL},
};

const command command_report = {
    .name = "report",
    .summary = "what runs show: a page, tables, figures",
    .synopsis = "RUN... -o OUT [options]",
    .text =
        "Reads run directories, or folders that hold some, and writes what they show. Runs that differ in nothing "
        "but the seed are one series: mean and standard deviation. A series is named by its method and by the "
        "settings in which the series differ. The page is one HTML file that loads nothing from elsewhere: curves, "
        "layers, a summary, and what the curves say in words. Runs that are still going, or were stopped, are "
        "reported as far as they got; lines of metrics.jsonl that are not whole are left out and counted.",
    .options = options,
    .operands = OPERANDS_MAX,
    .lists = tables_and_figures,
    .examples = examples,
    .run = report_runs,
};
