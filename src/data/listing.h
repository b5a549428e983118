/* Sets whose pictures are files of their own: lists of names, of files with their classes, and reading those. */
#ifndef SAP_DATA_LISTING_H
#define SAP_DATA_LISTING_H

#include "data/dataset.h"

/* Names in byte order. */
typedef struct sap__names {
  char **list;
  size_t count;
} sap__names;

/* The folders in a folder, or its files that end in .jpg, .jpeg or .png (in any case); what begins with a dot is
 * left out. *names is freed with sap__names_free, also after an error. */
sap_status sap__names_of_folders(const char *folder, sap__names *names, sap_error *err) SAP_WARN_UNUSED;
sap_status sap__names_of_pictures(const char *folder, sap__names *names, sap_error *err) SAP_WARN_UNUSED;

/* Appends a copy of `length` bytes. */
sap_status sap__names_add(sap__names *names, const char *name, size_t length, sap_error *err) SAP_WARN_UNUSED;

/* By position of the name in a list in byte order; −1 if it is not there. */
int sap__names_find(const sap__names *names, const char *name, size_t length);

void sap__names_free(sap__names *names);

/* Pictures of one half, in order. */
typedef struct sap__file {
  char *path;
  uint8_t label;
} sap__file;

typedef struct sap__files {
  sap__file *list;
  size_t count;
} sap__files;

/* Appends all pictures of a folder. SAP_ERROR_FORMAT if there are none. */
sap_status sap__files_add_folder(sap__files *files, const char *folder, uint8_t label, sap_error *err) SAP_WARN_UNUSED;
sap_status sap__files_add(sap__files *files, const char *path, uint8_t label, sap_error *err) SAP_WARN_UNUSED;
void sap__files_free(sap__files *files);

/* 1 if all pictures are grey, else 3; reads headers up to the first coloured one. */
sap_status sap__files_channels(const sap__files *files, int *channels, sap_error *err) SAP_WARN_UNUSED;

/* Decodes the files of both halves to the set's channels and (square) size, with all threads; of several damaged files
 * the first is named. */
sap_status sap__files_read(const sap__files halves[2], const char *name, sap__dataset *dataset,
                           sap_error *err) SAP_WARN_UNUSED;

#endif
