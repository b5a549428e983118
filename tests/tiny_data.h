/* A small set of labelled 28×28 pictures as IDX files, for tests that train. */
#ifndef SAP_TESTS_TINY_DATA_H
#define SAP_TESTS_TINY_DATA_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "scratch.h"

static inline void tiny_number(FILE *file, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) fputc((int)(value >> shift & 255), file);
}

/* Class c of 10 is a bright row 2·c + 4 on noise: learnable in a few steps. */
static inline void tiny_split(const char *stem, uint32_t count, uint32_t seed) {
  char name[64];
  snprintf(name, sizeof name, "%s-images-idx3-ubyte", stem);
  FILE *images = fopen(scratch_path(name), "wb");
  snprintf(name, sizeof name, "%s-labels-idx1-ubyte", stem);
  FILE *labels = fopen(scratch_path(name), "wb");
  if (!images || !labels) abort();
  tiny_number(images, 0x803);
  tiny_number(images, count);
  tiny_number(images, 28);
  tiny_number(images, 28);
  tiny_number(labels, 0x801);
  tiny_number(labels, count);
  for (uint32_t i = 0; i < count; i++) {
    int label = (int)(i * 7 % 10);
    fputc(label, labels);
    for (int y = 0; y < 28; y++)
      for (int x = 0; x < 28; x++) {
        seed = seed * 1664525u + 1013904223u;
        fputc((int)(seed >> 25) + (y == 2 * label + 4 ? 120 : 0), images);
      }
  }
  if (fclose(images) || fclose(labels)) abort();
}

/* Writes the four files into the scratch folder; returns the --data text. */
static inline const char *tiny_data(uint32_t train, uint32_t test) {
  static char spec[128];
  tiny_split("train", train, 1);
  tiny_split("t10k", test, 2);
  snprintf(spec, sizeof spec, "fashion-mnist:%s", scratch_folder);
  return spec;
}

#endif
