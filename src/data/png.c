/* PNG by libpng, whose errors come back by longjmp. */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/picture.h"

/* All that lives across a longjmp. */
typedef struct reader {
  png_struct *png;
  png_info *header;
  jmp_buf jump;
  char text[96];   /* of the error */
  int memory;      /* 1: memory was missing */
  sap_status code; /* of what failed outside of libpng, with *err filled in */
  sap_error *err;
  const uint8_t *bytes; /* what is left of the file */
  size_t size;
  const char *name;
  sap__picture_info *info;
  sap__scaler *scaler;
  uint8_t *rows; /* one, or of an interlaced picture all */
} reader;

static void on_error(png_struct *png, const char *text) {
  reader *r = png_get_error_ptr(png);
  snprintf(r->text, sizeof r->text, "%s", text);
  longjmp(r->jump, 1);
}

static void on_warning(png_struct *png, const char *text) {
  (void)png;
  (void)text;
}

static void *take(png_struct *png, size_t bytes) {
  reader *r = png_get_mem_ptr(png);
  void *block = sap__alloc(bytes, 1);
  if (!block) r->memory = 1;
  return block;
}

static void give(png_struct *png, void *block) {
  (void)png;
  sap__free(block);
}

static void read_bytes(png_struct *png, png_byte *bytes, size_t count) {
  reader *r = png_get_io_ptr(png);
  if (count > r->size) png_error(png, "it is cut off");
  memcpy(bytes, r->bytes, count);
  r->bytes += count;
  r->size -= count;
}

/* Reads the header; 0 if there is an error in r->code. */
static int begin(reader *r) {
  png_struct *png = r->png;
  png_set_read_fn(png, r, read_bytes);
  /* Texts, profiles and the like are skipped: libpng would take the memory that their headers ask for. */
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* ours are below */
  png_read_info(png, r->header);
  int type = png_get_color_type(png, r->header);
  *r->info = (sap__picture_info){png_get_image_width(png, r->header), png_get_image_height(png, r->header),
                                 type & PNG_COLOR_MASK_COLOR ? 3 : 1};
  r->code = sap__picture_check(r->info, r->name, r->err);
  return !r->code;
}

/* Any PNG as bytes, grey or RGB. */
static void send_rows(reader *r) {
  png_struct *png = r->png;
  png_set_palette_to_rgb(png);
  png_set_scale_16(png);
  if (png_get_bit_depth(png, r->header) < 8 && r->info->channels == 1) png_set_expand_gray_1_2_4_to_8(png);
  png_set_strip_alpha(png);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, r->header);
  uint32_t height = r->info->height;
  size_t row = (size_t)r->info->width * (size_t)r->info->channels;
  if (png_get_rowbytes(png, r->header) != row) png_error(png, "rows of another size than its header says");
  r->code = sap__scaler_begin(r->scaler, r->info->width, height, 1, r->info->channels, r->err);
  if (r->code) return;
  r->rows = sap__calloc(passes > 1 ? height : 1, row);
  if (!r->rows) {
    r->code = sap__fail_memory(r->err, passes > 1 ? height * row : row);
    return;
  }
  for (int pass = 1; pass < passes; pass++)
    for (uint32_t y = 0; y < height; y++) png_read_row(png, r->rows + y * row, NULL);
  for (uint32_t y = 0; y < height; y++) {
    uint8_t *pixels = r->rows + (passes > 1 ? y * row : 0);
    png_read_row(png, pixels, NULL);
    sap__scaler_row(r->scaler, pixels);
  }
  png_read_end(png, NULL);
}

/* 0 after an error of libpng. */
static int read_picture(reader *r) {
  if (setjmp(r->jump)) return 0;
  if (begin(r) && r->scaler) send_rows(r);
  return 1;
}

sap_status sap__png_decode(const uint8_t *bytes, size_t size, const char *name, sap__picture_info *info,
                           sap__scaler *scaler, sap_error *err) {
  reader r = {.err = err, .bytes = bytes, .size = size, .name = name, .info = info, .scaler = scaler};
  r.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning, &r, take, give);
  r.header = r.png ? png_create_info_struct(r.png) : NULL;
  int whole = r.header && read_picture(&r);
  int memory = r.memory || !r.header;
  png_destroy_read_struct(&r.png, &r.header, NULL);
  sap__free(r.rows);
  return whole ? r.code : sap__picture_broken("PNG", name, memory, r.text, err);
}
