/* Texts in which quotes are escaped, and little else: JSON inside JSON. */
#ifndef SAP_IO_JSON_QUOTES_H
#define SAP_IO_JSON_QUOTES_H

/* Copies what begins at *at to `to`, which is there or before, 64 bytes a step, and leaves the backslashes before
 * quotes out, as long as there are so many bytes before `end`, all are ASCII without control characters, and neither
 * quotes nor backslashes come in any other way. Moves *at to where it stopped; returns where the copy ends. Where the
 * processor cannot do that (AVX-512 VBMI2), it stops at once. */
char *sap__json_quotes(char **at, char *to, const char *end);

#endif
