/* JPEG and PNG pictures, not trusted: decoded from memory to a square of bytes.
 *
 * The format is found by content. A picture that is cut off or damaged is an error, not a grey area; what decoders only
 * warn of and show right is accepted. Nothing is printed. Sizes are judged before anything is decoded.
 */
#ifndef SAP_DATA_PICTURE_H
#define SAP_DATA_PICTURE_H

#include "data/scale.h"

#define SAP__PICTURE_MAX_PIXELS (1u << 26)
#define SAP__PICTURE_MAX_SIDE 65535u
#define SAP__PICTURE_MAX_BYTES ((size_t)256 << 20) /* of a file */

typedef struct sap__picture_info {
  uint32_t width, height;
  int channels; /* 1 grey, 3 colour (also of a palette); transparency is left out */
} sap__picture_info;

/* Reads the header alone. Errors, with `name` before them: SAP_ERROR_FORMAT, SAP_ERROR_UNSUPPORTED (beyond the
 * limits of pixels or sides, a kind of JPEG that the decoder lacks, or a build without the decoder),
 * SAP_ERROR_MEMORY. */
sap_status sap__picture_probe(const uint8_t *bytes, size_t size, const char *name, sap__picture_info *info,
                              sap_error *err) SAP_WARN_UNUSED;

/* Decodes to pixels (channels, side, side), channels 1 or 3; scaler->side says which side. Errors as above.
 * Memory: a row; for interlaced PNG 3 bytes, for progressive JPEG up to 8 bytes a pixel. */
sap_status sap__picture_decode(const uint8_t *bytes, size_t size, const char *name, sap__scaler *scaler, int channels,
                               uint8_t *pixels, sap_error *err) SAP_WARN_UNUSED;

/* ---- for the decoders ---- */

/* Sends the rows of a picture to the scaler, which it begins; scaler NULL: fills in *info and stops. */
typedef sap_status sap__picture_decoder(const uint8_t *bytes, size_t size, const char *name, sap__picture_info *info,
                                        sap__scaler *scaler, sap_error *err);

sap__picture_decoder sap__jpeg_decode, sap__png_decode;

/* SAP_ERROR_UNSUPPORTED if that is beyond the limit. */
sap_status sap__picture_check(const sap__picture_info *info, const char *name, sap_error *err) SAP_WARN_UNUSED;

/* The error of a decoder that gave up: `memory`, it had none; else the picture is damaged, as its words say. */
sap_status sap__picture_broken(const char *kind, const char *name, int memory, const char *text, sap_error *err);

#endif
