/* The command line of a run: sapwood train with the settings that differ from the defaults. */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

#include <stdio.h>

#include "sapwood/experiment.h"

enum { WORDS_MAX = 160 };

typedef struct words {
  size_t count;
  char *items[WORDS_MAX + 1]; /* ends with NULL; each from malloc, NULL where there was no memory */
} words;

/* Appends a copy of the word. */
void words_add(words *w, const char *word);

/* "train", the settings that are not the default, "-o" RUN. */
void words_of_run(words *w, const sap_experiment *experiment, const char *run);

/* "train", "-o", RUN, "--resume": the run has its settings. */
void words_of_resume(words *w, const char *run);

/* 0 if a word is missing, for want of memory. */
int words_complete(const words *w);

void words_free(words *w);

/* A word as a shell takes it; quoted if need be. */
void word_print(FILE *stream, const char *word);

#endif
