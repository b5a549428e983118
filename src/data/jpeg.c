/* JPEG by libjpeg (libjpeg-turbo), whose errors come back by longjmp. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
/* jpeglib.h needs stdio.h before it. */
#include <jerror.h>
#include <jpeglib.h>

#include "base/error.h"
#include "data/picture.h"

enum {
  SCANS_MAX = 100,               /* a progressive picture has about ten; each costs a pass over all of it */
  MEMORY_MAX = 512 * 1024 * 1024 /* of the decoder: coefficients of a progressive picture at the limit of pixels */
};

/* All that lives across a longjmp. */
typedef struct reader {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf jump;
  char text[JMSG_LENGTH_MAX]; /* of the error */
  int memory;                 /* 1: the error is missing memory */
  sap_status code;            /* of what failed outside of libjpeg, with *err filled in */
  sap_error *err;
  const uint8_t *bytes;
  size_t size;
  const char *name;
  sap__picture_info *info;
  sap__scaler *scaler;
} reader;

static void on_error(j_common_ptr jpeg) {
  reader *r = jpeg->client_data;
  jpeg->err->format_message(jpeg, r->text);
  r->memory = jpeg->err->msg_code == JERR_OUT_OF_MEMORY;
  longjmp(r->jump, 1);
}

/* Level −1 is damage that libjpeg would paint over; the pictures of these few are right all the same. */
static void on_message(j_common_ptr jpeg, int level) {
  static const int harmless[] = {JWRN_ADOBE_XFORM, JWRN_EXTRANEOUS_DATA, JWRN_JFIF_MAJOR, JWRN_TOO_MUCH_DATA};
  if (level >= 0) return;
  for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
    if (jpeg->err->msg_code == harmless[i]) return;
  on_error(jpeg);
}

static void on_output(j_common_ptr jpeg) { (void)jpeg; }

static void on_progress(j_common_ptr jpeg) {
  reader *r = jpeg->client_data;
  if (r->jpeg.input_scan_number <= SCANS_MAX) return;
  snprintf(r->text, sizeof r->text, "more than %d scans", SCANS_MAX);
  longjmp(r->jump, 1);
}

/* CMYK as it is printed, a scanline (width, 4) to RGB (width, 3) in place. Adobe stores it inverted. */
static void cmyk_to_rgb(JSAMPLE *row, JDIMENSION width, int inverted) {
  for (JDIMENSION i = 0; i < width; i++) {
    unsigned ink[4];
    for (int k = 0; k < 4; k++) ink[k] = inverted ? row[4 * i + (unsigned)k] : 255u - row[4 * i + (unsigned)k];
    for (int k = 0; k < 3; k++) row[3 * i + (unsigned)k] = (JSAMPLE)((ink[k] * ink[3] + 127) / 255);
  }
}

/* Large pictures are decoded at 1/2, 1/4 or 1/8 as long as twice the wanted size is left to filter. */
static unsigned reduction(const reader *r) {
  uint32_t shorter = r->info->width < r->info->height ? r->info->width : r->info->height;
  unsigned by = 8;
  while (by > 1 && shorter / by < 2 * (uint32_t)r->scaler->side) by /= 2;
  return by;
}

/* Reads the header; 0 if there is an error in r->code. */
static int begin(reader *r) {
  struct jpeg_decompress_struct *jpeg = &r->jpeg;
  jpeg_create_decompress(jpeg);
  jpeg->mem->max_memory_to_use = MEMORY_MAX;
  jpeg->progress = &r->progress;
  jpeg_mem_src(jpeg, r->bytes, (unsigned long)r->size);
  jpeg_read_header(jpeg, TRUE);
  int grey = jpeg->jpeg_color_space == JCS_GRAYSCALE;
  *r->info = (sap__picture_info){jpeg->image_width, jpeg->image_height, grey ? 1 : 3};
  r->code = sap__picture_check(r->info, r->name, r->err);
  int inks = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
  if (!r->code && jpeg->jpeg_color_space == JCS_UNKNOWN)
    r->code = sap__fail(r->err, SAP_ERROR_UNSUPPORTED, "%s: a JPEG picture of %d channels, expected 1, 3 or CMYK",
                        r->name, jpeg->num_components);
  jpeg->out_color_space = grey ? JCS_GRAYSCALE : inks ? JCS_CMYK : JCS_RGB;
  return !r->code;
}

static void send_rows(reader *r) {
  struct jpeg_decompress_struct *jpeg = &r->jpeg;
  const unsigned reduced = reduction(r);
  jpeg->scale_num = 1;
  jpeg->scale_denom = reduced;
  jpeg_start_decompress(jpeg);
  r->code = sap__scaler_begin(r->scaler, r->info->width, r->info->height, reduced, r->info->channels, r->err);
  if (r->code) return;
  /* Off any alignment: to an aligned row libjpeg-turbo writes past the caches, and each read of it waits for memory. */
  const size_t size = jpeg->output_width * (size_t)jpeg->output_components;
  JSAMPROW row = (JSAMPROW)jpeg->mem->alloc_large((j_common_ptr)jpeg, JPOOL_IMAGE, size + 8) + 8;
  while (jpeg->output_scanline < jpeg->output_height) {
    jpeg_read_scanlines(jpeg, &row, 1);
    if (jpeg->out_color_space == JCS_CMYK) cmyk_to_rgb(row, jpeg->output_width, jpeg->saw_Adobe_marker);
    sap__scaler_row(r->scaler, row);
  }
  jpeg_finish_decompress(jpeg);
}

/* 0 after an error of libjpeg. */
static int read_picture(reader *r) {
  if (setjmp(r->jump)) return 0;
  if (begin(r) && r->scaler) send_rows(r);
  return 1;
}

sap_status sap__jpeg_decode(const uint8_t *bytes, size_t size, const char *name, sap__picture_info *info,
                            sap__scaler *scaler, sap_error *err) {
  reader r = {.err = err, .bytes = bytes, .size = size, .name = name, .info = info, .scaler = scaler};
  r.jpeg.err = jpeg_std_error(&r.errors);
  r.jpeg.client_data = &r;
  r.errors.error_exit = on_error;
  r.errors.emit_message = on_message;
  r.errors.output_message = on_output;
  r.progress.progress_monitor = on_progress;
  int whole = read_picture(&r);
  jpeg_destroy_decompress(&r.jpeg);
  return whole ? r.code : sap__picture_broken("JPEG", name, r.memory, r.text, err);
}
