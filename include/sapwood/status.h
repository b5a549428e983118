/* Status codes and error texts.
 *
 * Every fallible function of the library returns a sap_status and takes, as its last argument, a
 * pointer to a sap_error that the caller owns. On failure the function fills it with the code and one
 * line of text that names the file, the tensor or the argument, what was found and what was expected.
 * NULL is allowed where the caller wants the code alone. Output arguments are written on success only.
 *
 * The library never prints, never exits and never aborts on input, on files or on missing memory.
 */
#ifndef SAPWOOD_STATUS_H
#define SAPWOOD_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* The one list that gives enum, name and text. Codes never change their value; new ones go at the end. */
#define SAP_STATUS_LIST(X)                                                         \
  X(SAP_OK, 0, "success")                                                          \
  X(SAP_ERROR_ARGUMENT, 1, "an argument is outside its range")                     \
  X(SAP_ERROR_MEMORY, 2, "memory could not be allocated")                          \
  X(SAP_ERROR_IO, 3, "reading or writing failed")                                  \
  X(SAP_ERROR_FORMAT, 4, "a file does not follow its format")                      \
  X(SAP_ERROR_UNSUPPORTED, 5, "valid, but not supported by this build or machine") \
  X(SAP_ERROR_NOT_FOUND, 6, "a file, tensor or name does not exist")               \
  X(SAP_ERROR_EXISTS, 7, "the output exists already")                              \
  X(SAP_ERROR_NONFINITE, 8, "a value is NaN or infinite")                          \
  X(SAP_ERROR_MISMATCH, 9, "two things that must agree differ")                    \
  X(SAP_INTERRUPTED, 10, "stopped at the caller's request; the state is saved")

typedef enum sap_status {
#define SAP_STATUS_ENUM(name, value, text) name = value,
  SAP_STATUS_LIST(SAP_STATUS_ENUM)
#undef SAP_STATUS_ENUM
} sap_status;

/* Bytes of sap_error.text, the final NUL included. */
#define SAP_ERROR_TEXT_SIZE 240

typedef struct sap_error {
  sap_status code;                /* SAP_OK until a call fails */
  char text[SAP_ERROR_TEXT_SIZE]; /* one line, no newline; longer texts are cut */
} sap_error;

#if defined(__GNUC__)
#define SAP_WARN_UNUSED __attribute__((warn_unused_result))
#define SAP_PRINTF(string, arguments) __attribute__((__format__(__printf__, string, arguments)))
#define SAP_API __attribute__((visibility("default")))
#else
#define SAP_WARN_UNUSED
#define SAP_PRINTF(string, arguments)
#define SAP_API
#endif

/* The code's name, "SAP_ERROR_IO"; "SAP_UNKNOWN" for a value outside the list. Static storage. */
SAP_API const char *sap_status_name(sap_status status);

/* The code's meaning in words, for people. Static storage. */
SAP_API const char *sap_status_text(sap_status status);

#ifdef __cplusplus
}
#endif
#endif
