/* What tells series apart, and what they are called. */
#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "report/series.h"

int sap__setting_matters(const sap_setting *setting, const sap_experiment *settings) {
  static const struct {
    const char *name;
    unsigned methods; /* a bit each: those that look at it */
  } rules[] = {
      {"seed", 0},
      {"threads", 0},
      {"eta", 1u << SAP_METHOD_SAP},
      {"gamma", 1u << SAP_METHOD_SAP},
      {"beta", 1u << SAP_METHOD_SAP},
      {"ratio", 1u << SAP_METHOD_LT | 1u << SAP_METHOD_OS},
      {"scope", 1u << SAP_METHOD_SAP | 1u << SAP_METHOD_LT | 1u << SAP_METHOD_OS},
  };
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (!strcmp(rules[i].name, setting->name)) return rules[i].methods >> settings->prune.method & 1;
  return 1;
}

static int same_value(const sap_experiment *a, const sap_experiment *b, const sap_setting *setting) {
  char texts[2][SAP_TEXT_SIZE];
  sap_experiment_get(a, setting, texts[0], sizeof texts[0]);
  sap_experiment_get(b, setting, texts[1], sizeof texts[1]);
  return !strcmp(texts[0], texts[1]);
}

int sap__same_series(const sap_experiment *a, const sap_experiment *b) {
  size_t count;
  const sap_setting *settings = sap_experiment_settings(&count);
  if (a->prune.method != b->prune.method) return 0;
  for (size_t i = 0; i < count; i++)
    if (sap__setting_matters(&settings[i], a) && !same_value(a, b, &settings[i])) return 0;
  return 1;
}

/* 1 if two series to whose method (SAP_METHOD_COUNT: any) the setting matters have different values of it. */
static int differs(const sap__section *section, const sap_setting *setting, sap_method method) {
  const sap_experiment *first = NULL;
  for (size_t i = 0; i < section->series_count; i++) {
    const sap_experiment *settings = &section->series[i].runs[0]->settings;
    if (method != SAP_METHOD_COUNT && settings->prune.method != method) continue;
    if (!sap__setting_matters(setting, settings)) continue;
    if (first && !same_value(first, settings, setting)) return 1;
    if (!first) first = settings;
  }
  return 0;
}

int sap__setting_differs(const sap__section *section, const sap_setting *setting) {
  return differs(section, setting, SAP_METHOD_COUNT);
}

static int is_one_of(const char *name, const char *const *names) {
  while (*names && strcmp(*names, name) != 0) names++;
  return *names != NULL;
}

/* Whether a series' name tells a setting: where the section's series differ in it. But p and q matter to the other
 * methods as the measure alone, so their names tell them only where the method's own series differ; and what is at its
 * default needs no words, but for the settings that every reader asks for. */
static int is_in_name(const sap__section *section, const sap_setting *setting, const sap_experiment *settings) {
  static const char *const measures[] = {"p", "q", NULL}, *const asked_for[] = {"scope", "p", "q", "ratio", NULL};
  const sap_method method = settings->prune.method;
  const int within = is_one_of(setting->name, measures) && method != SAP_METHOD_SAP;
  if (!sap__setting_matters(setting, settings)) return 0;
  if (!differs(section, setting, within ? method : SAP_METHOD_COUNT)) return 0;
  const sap_experiment standard = sap_experiment_default();
  return is_one_of(setting->name, asked_for) || !same_value(settings, &standard, setting);
}

char *sap__series_name(const sap__section *section, const sap__series *series) {
  const sap_experiment *settings = &series->runs[0]->settings;
  size_t count;
  const sap_setting *table = sap_experiment_settings(&count);
  sap__text name = {0};
  for (size_t i = 0; i < count; i++) {
    const int is_method = !strcmp(table[i].name, "method"), is_scope = !strcmp(table[i].name, "scope");
    if (!is_method && !is_in_name(section, &table[i], settings)) continue;
    char value[SAP_TEXT_SIZE];
    sap_experiment_get(settings, &table[i], value, sizeof value);
    sap__text_add(&name, "%s%s%s", name.length ? " " : "", is_method || is_scope ? "" : table[i].name,
                  is_method || is_scope ? "" : " ");
    sap__text_add_tidy(&name, value);
  }
  char *copy = name.failed ? NULL : sap__strdup(name.bytes);
  sap__text_free(&name);
  return copy;
}

/* Letters and digits of the text up to a colon; '-' for the rest. */
static void add_plain(sap__text *name, const char *words) {
  for (; *words && *words != ':'; words++)
    sap__text_add(name, "%c", isalnum((unsigned char)*words) || strchr("-_.", *words) ? *words : '-');
}

char *sap__section_name(const sap_report *report, size_t i) {
  const sap__section *section = &report->sections[i];
  sap__text name = {0};
  size_t alike = 1;
  add_plain(&name, section->model);
  sap__text_add(&name, "-");
  add_plain(&name, section->data);
  /* One data set may lie at two places. */
  for (size_t k = 0; k < i && !name.failed; k++) {
    const char *other = report->sections[k].name;
    alike += !strncmp(other, name.bytes, name.length) && strchr("-", other[name.length]);
  }
  if (alike > 1) sap__text_add(&name, "-%zu", alike);
  char *copy = name.failed ? NULL : sap__strdup(name.bytes);
  sap__text_free(&name);
  return copy;
}
