#include "data/picture.h"

#include <string.h>

#include "base/error.h"
#include "sap_config.h"

static const struct format {
  const char *name;
  const char *magic; /* the first bytes of a file */
  size_t magic_size;
  sap__picture_decoder *decode; /* NULL: not in this build */
} formats[] = {
#if SAP_HAVE_JPEG
    {"JPEG", "\xff\xd8\xff", 3, sap__jpeg_decode},
#else
    {"JPEG", "\xff\xd8\xff", 3, NULL},
#endif
#if SAP_HAVE_PNG
    {"PNG", "\x89PNG\r\n\x1a\n", 8, sap__png_decode},
#else
    {"PNG", "\x89PNG\r\n\x1a\n", 8, NULL},
#endif
};

static sap_status find(const uint8_t *bytes, size_t size, const char *name, const struct format **found,
                       sap_error *err) {
  for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
    const struct format *format = &formats[i];
    if (size < format->magic_size || memcmp(bytes, format->magic, format->magic_size)) continue;
    if (!format->decode)
      return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: a %s picture, and this build cannot read them", name,
                       format->name);
    *found = format;
    return SAP_OK;
  }
  return sap__fail(err, SAP_ERROR_FORMAT, "%s: neither a JPEG nor a PNG picture", name);
}

sap_status sap__picture_probe(const uint8_t *bytes, size_t size, const char *name, sap__picture_info *info,
                              sap_error *err) {
  const struct format *format = NULL;
  sap_status code = find(bytes, size, name, &format, err);
  return code ? code : format->decode(bytes, size, name, info, NULL, err);
}

sap_status sap__picture_decode(const uint8_t *bytes, size_t size, const char *name, sap__scaler *scaler, int channels,
                               uint8_t *pixels, sap_error *err) {
  const struct format *format = NULL;
  sap__picture_info info;
  sap_status code = find(bytes, size, name, &format, err);
  if (!code) code = format->decode(bytes, size, name, &info, scaler, err);
  if (!code) sap__scaler_end(scaler, channels, pixels);
  return code;
}

sap_status sap__picture_check(const sap__picture_info *info, const char *name, sap_error *err) {
  if (info->width > SAP__PICTURE_MAX_SIDE || info->height > SAP__PICTURE_MAX_SIDE)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: %u x %u pixels, expected at most %u a side", name, info->width,
                     info->height, SAP__PICTURE_MAX_SIDE);
  if ((uint64_t)info->width * info->height > SAP__PICTURE_MAX_PIXELS)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: %u x %u pixels, expected at most %u", name, info->width,
                     info->height, SAP__PICTURE_MAX_PIXELS);
  return SAP_OK;
}

sap_status sap__picture_broken(const char *kind, const char *name, int memory, const char *text, sap_error *err) {
  if (memory) return sap__fail(err, SAP_ERROR_MEMORY, "%s: no memory to decode it", name);
  return sap__fail(err, SAP_ERROR_FORMAT, "%s: damaged %s picture: %.80s", name, kind, text);
}
