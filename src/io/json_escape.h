/* Escapes in the texts of JSON. */
#ifndef SAP_IO_JSON_ESCAPE_H
#define SAP_IO_JSON_ESCAPE_H

/* Resolves the escape at *at, in a NUL-terminated text, moves *at behind it and writes what it stands for to `to`,
 * which is at *at or before: it is never longer. Returns where that ends; NULL with *wrong set if it is none. */
char *sap__json_escape(char **at, char *to, const char **wrong);

#endif
