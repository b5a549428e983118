/* Paths of data sets. */
#ifndef SAP_DATA_PATHS_H
#define SAP_DATA_PATHS_H

#include "sapwood/status.h"

enum { SAP__PATH_SIZE = 4096 };

/* "FOLDER/NAME"; SAP_ERROR_ARGUMENT if that is too long. */
sap_status sap__path_join(char path[SAP__PATH_SIZE], const char *folder, const char *name, sap_error *err);

/* 0 nothing there, 1 a file (or something else that is no folder), 2 a folder. */
int sap__path_kind(const char *path);

/* SAP_OK if the path is a folder; else says so, and that `expected` ("one with …") should be there. */
sap_status sap__path_folder(const char *path, const char *expected, sap_error *err);

/* Looks for a folder or file `name` in the usual places; 0 if it is in none. */
int sap__path_usual(char path[SAP__PATH_SIZE], const char *name);

#endif
