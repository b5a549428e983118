#include "words.h"

#include <stdlib.h>
#include <string.h>

void words_add(words *w, const char *word) {
  if (w->count >= WORDS_MAX) return;
  w->items[w->count] = malloc(strlen(word) + 1);
  if (w->items[w->count]) strcpy(w->items[w->count], word);
  w->count++; /* a word that has no memory leaves its place empty */
}

int words_complete(const words *w) {
  for (size_t i = 0; i < w->count; i++)
    if (!w->items[i]) return 0;
  return w->count < WORDS_MAX;
}

void words_of_run(words *w, const sap_experiment *experiment, const char *run) {
  const sap_experiment standard = sap_experiment_default();
  size_t count;
  const sap_setting *settings = sap_experiment_settings(&count);
  words_add(w, "train");
  for (size_t i = 0; i < count; i++) {
    char text[SAP_TEXT_SIZE], usual[SAP_TEXT_SIZE], name[64];
    sap_experiment_get(experiment, &settings[i], text, sizeof text);
    sap_experiment_get(&standard, &settings[i], usual, sizeof usual);
    if (strcmp(text, usual) == 0) continue;
    snprintf(name, sizeof name, "--%s", settings[i].name);
    words_add(w, name);
    words_add(w, text);
  }
  words_add(w, "-o");
  words_add(w, run);
}

void words_of_resume(words *w, const char *run) {
  words_add(w, "train");
  words_add(w, "-o");
  words_add(w, run);
  words_add(w, "--resume");
}

void words_free(words *w) {
  for (size_t i = 0; i < w->count; i++) free(w->items[i]);
  memset(w, 0, sizeof *w);
}

void word_print(FILE *stream, const char *word) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-:,@%";
  if (*word && strspn(word, plain) == strlen(word)) {
    fputs(word, stream);
    return;
  }
  fputc('\'', stream);
  for (; *word; word++) {
    if (*word == '\'')
      fputs("'\\''", stream);
    else
      fputc(*word, stream);
  }
  fputc('\'', stream);
}
