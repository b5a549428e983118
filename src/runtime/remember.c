#include "runtime/remember.h"

#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/error.h"
#include "base/memory.h"
#include "runtime/mix.h"
#include "sapwood/cpu.h"
#include "sapwood/version.h"

enum { KEY_SIZE = 160, CHOICE_SIZE = 4096, MACHINE_SIZE = 200 };

/* The processor, the instruction set in use and our version: another of any may have other winners. */
static void describe_machine(char text[MACHINE_SIZE]) {
  char processor[MACHINE_SIZE / 2];
  sap__cpu_brand(processor, sizeof processor);
  snprintf(text, MACHINE_SIZE, "%s %s %s", processor, sap_cpu_name(sap_cpu_active()), sap_version());
}

/* FNV-1a. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
  return hash;
}

/* Layers, shapes and numbers of weights; not which weights, as that changes little. */
static void key_of(const sap_model *model, const sap_session_options *options, char key[KEY_SIZE]) {
  const sap__program *program = model->program;
  uint64_t hash = 0xcbf29ce484222325u;
  for (int v = 0; v < program->value_count; v++) hash = mix(hash, &program->values[v], sizeof program->values[v]);
  for (int i = 0; i < program->layer_count; i++) {
    const sap__layer *layer = &program->layers[i];
    const sap__conv2d *c = &layer->conv;
    const int64_t numbers[] = {layer->kind,     layer->input,
                               layer->residual, layer->output,
                               c->kernel[0],    c->kernel[1],
                               c->stride[0],    c->stride[1],
                               c->groups,       layer->weights ? (int64_t)layer->weights->count : 0};
    hash = mix(hash, numbers, sizeof numbers);
  }
  snprintf(key, KEY_SIZE, "%.60s %016llx batch %d threads %d %s", model->info.name, (unsigned long long)hash,
           options->batch, options->threads, sap_way_name(options->way));
}

/* "picture 7 2x8 1x8 … lanes 12 …": of every segment the way, the layer behind it, and the tile of every stage that
 * has one. 0 if it is too long. */
static int describe(const sap_session *session, char text[CHOICE_SIZE]) {
  int used = 0;
  for (int i = 0; i < session->segment_count; i++) {
    const sap__segment *segment = &session->segments[i];
    const sap__schedule *schedule = segment->schedule;
    used += snprintf(text + used, (size_t)(CHOICE_SIZE - used), "%s %d ", sap_way_name(segment->way),
                     schedule->layers.last);
    for (int s = 0; s < schedule->stage_count; s++) {
      if (used >= CHOICE_SIZE - 32) return 0;
      if (schedule->stages[s].kind != SAP__STAGE_TILES) continue;
      const sap__tile *tile = schedule->stages[s].of.tiles.tile;
      used += snprintf(text + used, (size_t)(CHOICE_SIZE - used), "%dx%d ", tile->rows, tile->columns);
    }
  }
  return 1;
}

/* The way whose name the text begins with; SAP_WAY_AUTO: none. */
static sap_way read_way(const char **text) {
  size_t length = strcspn(*text, " ");
  int way = 0;
  while (way < SAP_WAY_AUTO &&
         (strlen(sap_way_name((size_t)way)) != length || strncmp(sap_way_name((size_t)way), *text, length) != 0))
    way++;
  *text += length + (size_t)((*text)[length] == ' ');
  return (sap_way)way;
}

/* The segments of a text, at most `most`; 0 if it is none for so many layers. */
static int read_stretches(const char *text, int layers, sap__stretch *stretches, int most) {
  int count = 0, from = 0;
  while (*text && count < most) {
    sap__stretch *s = &stretches[count++];
    int length = 0;
    s->way = read_way(&text);
    if (s->way >= SAP_WAY_MIXED || sscanf(text, "%d %n", &s->last, &length) != 1) return 0;
    if (s->last <= from || s->last > layers) return 0;
    from = s->last;
    text += length;
    while (*text >= '0' && *text <= '9') text += strcspn(text, " "), text += *text == ' ';
  }
  return !*text && from == layers ? count : 0;
}

/* Gives every stage of a segment its tile; NULL if the text does not fit the stages, else what follows. */
static const char *read_tiles(sap__schedule *schedule, const char *text) {
  for (int s = 0; s < schedule->stage_count; s++) {
    sap__stage *stage = &schedule->stages[s];
    const sap__tile *tiles[SAP__TILE_COUNT];
    int rows, columns, length = 0, found = 0;
    if (stage->kind != SAP__STAGE_TILES) continue;
    if (sscanf(text, "%dx%d %n", &rows, &columns, &length) != 2) return NULL;
    text += length;
    int count = sap__tiles_choose(schedule, &stage->of.tiles, tiles);
    for (int i = 0; i < count && !found; i++)
      if (tiles[i]->rows == rows && tiles[i]->columns == columns) {
        stage->of.tiles.tile = tiles[i];
        found = 1;
      }
    if (!found) return NULL;
  }
  return text;
}

static int apply(sap_session *session, const char *text) {
  for (int i = 0; text && i < session->segment_count; i++) {
    int length = 0;
    read_way(&text);
    if (sscanf(text, "%*d %n", &length) < 0) return 0;
    text = read_tiles(session->segments[i].schedule, text + length);
  }
  return text && !*text;
}

sap_status sap__remember_read(sap__choices *choices, sap_error *err) {
  char machine[MACHINE_SIZE];
  describe_machine(machine);
  return sap__choices_recall(choices, "runtime", machine, err);
}

void sap__remember_write(sap__choices *choices) {
  char machine[MACHINE_SIZE];
  describe_machine(machine);
  sap__choices_keep(choices, "runtime", machine);
}

sap_status sap__remember_session(const sap_model *model, const sap_session_options *options, sap__choices *choices,
                                 sap_session **out, sap_error *err) {
  char key[KEY_SIZE];
  key_of(model, options, key);
  const char *found = sap__choices_find(choices, key);
  char text[CHOICE_SIZE];
  sap__stretch stretches[SAP__STRETCHES_MAX];
  if (!found || strlen(found) >= sizeof text) return SAP_OK;
  memcpy(text, found, strlen(found) + 1); /* additions move it */
  int count = read_stretches(text, model->program->layer_count, stretches, SAP__STRETCHES_MAX);
  sap_session *session = NULL;
  sap_status status = count > 0 ? sap__session_make(model, options, stretches, count, choices, &session, err) : SAP_OK;
  if (status == SAP_ERROR_UNSUPPORTED) status = SAP_OK;
  if (session && apply(session, text))
    *out = session;
  else
    sap_session_free(session);
  return status;
}

void sap__remember_add(const sap_session *session, sap__choices *choices) {
  char key[KEY_SIZE], text[CHOICE_SIZE];
  if (!describe(session, text)) return;
  key_of(session->model, &session->options, key);
  sap_status ignored = sap__choices_add(choices, key, text, NULL);
  (void)ignored;
}
