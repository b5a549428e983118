#include "commands.h"

#include <string.h>

#include "sapwood/dataset.h"
#include "sapwood/model.h"

const command *const commands[] = {&command_train,
                                   &command_eval,
                                   &command_sweep,
                                   &command_measure,
                                   &command_prune,
                                   &command_convert,
                                   &command_compare,
                                   &command_report,
                                   &command_export,
                                   &command_run,
                                   &command_bench,
                                   &command_info,
                                   NULL};

const name_list data_and_models[] = {
    {"Data sets", sap_dataset_name_at, sap_dataset_text_at},
    {"Models", sap_model_name_at, sap_model_text_at},
    {NULL, NULL, NULL},
};

const command *command_find(const char *name) {
  for (size_t i = 0; commands[i]; i++)
    if (strcmp(commands[i]->name, name) == 0) return commands[i];
  return NULL;
}

static const char *command_name_at(const void *data, size_t i) {
  (void)data;
  static const size_t count = sizeof commands / sizeof *commands - 1;
  if (i < count) return commands[i]->name;
  return i == count ? "help" : NULL;
}

const char *command_nearest(const char *name) { return nearest_name(name, command_name_at, NULL); }
