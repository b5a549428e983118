/* JPEG and PNG pictures: decoded right, refused in words when broken, with nothing leaked; and resizing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* These need the above before them. */
#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

#include "alloc_fault.h"
#include "data/picture.h"
#include "unit.h"

enum { WIDTH = 21, HEIGHT = 13 };

/* ---- pictures in memory ---- */

static uint8_t smooth(unsigned x, unsigned y, unsigned c) { return (uint8_t)(20 + 9 * x + 3 * y + 11 * c); }

/* A JPEG of (WIDTH, HEIGHT); *size receives its bytes, which are freed with free(). */
static uint8_t *make_jpeg(int channels, int progressive, int quality, size_t *size) {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  unsigned char *bytes = NULL;
  unsigned long length = 0;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &bytes, &length);
  jpeg.image_width = WIDTH;
  jpeg.image_height = HEIGHT;
  jpeg.input_components = channels;
  jpeg.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  if (channels == 3)
    for (int c = 0; c < 3; c++) jpeg.comp_info[c].h_samp_factor = jpeg.comp_info[c].v_samp_factor = 1;
  if (progressive) jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  for (unsigned y = 0; y < HEIGHT; y++) {
    uint8_t row[4 * WIDTH];
    for (unsigned x = 0; x < WIDTH; x++)
      for (unsigned c = 0; c < (unsigned)channels; c++) row[x * (unsigned)channels + c] = smooth(x, y, c);
    JSAMPROW rows[1] = {row};
    jpeg_write_scanlines(&jpeg, rows, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  *size = length;
  return bytes;
}

typedef struct buffer {
  uint8_t bytes[1 << 16];
  size_t size;
} buffer;

static void append(png_struct *png, png_byte *bytes, size_t size) {
  buffer *to = png_get_io_ptr(png);
  assert_true(size <= sizeof to->bytes - to->size);
  memcpy(to->bytes + to->size, bytes, size);
  to->size += size;
}

/* A PNG of (WIDTH, HEIGHT) in `out`; type as in png.h, 8 bits. */
static void make_png(int type, int interlace, buffer *out) {
  png_struct *png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_info *info = png_create_info_struct(png);
  unsigned channels = type == PNG_COLOR_TYPE_GRAY ? 1 : type == PNG_COLOR_TYPE_RGB ? 3 : 4;
  uint8_t pixels[HEIGHT][4 * WIDTH];
  png_byte *rows[HEIGHT];
  out->size = 0;
  png_set_write_fn(png, out, append, NULL);
  png_set_IHDR(png, info, WIDTH, HEIGHT, 8, type, interlace, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  for (unsigned y = 0; y < HEIGHT; y++) {
    rows[y] = pixels[y];
    for (unsigned x = 0; x < WIDTH; x++)
      for (unsigned c = 0; c < channels; c++) pixels[y][x * channels + c] = c == 3 ? 7 : smooth(x, y, c);
  }
  png_set_rows(png, info, rows);
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
  png_destroy_write_struct(&png, &info);
}

static sap_status decode(const uint8_t *bytes, size_t size, int side, int channels, uint8_t *pixels, sap_error *err) {
  sap__scaler scaler = {.side = side};
  sap_status status = sap__picture_decode(bytes, size, "a.x", &scaler, channels, pixels, err);
  sap__scaler_free(&scaler);
  return status;
}

/* ---- what is read ---- */

/* The middle square of a picture whose shorter side has the wanted size is that part of it. */
static void assert_middle(const uint8_t *pixels, int channels, int tolerance, const char *what) {
  const unsigned cut = (WIDTH - HEIGHT) / 2;
  for (unsigned c = 0; c < (unsigned)channels; c++)
    for (unsigned y = 0; y < HEIGHT; y++)
      for (unsigned x = 0; x < HEIGHT; x++) {
        int found = pixels[(c * HEIGHT + y) * HEIGHT + x], expected = smooth(x + cut, y, c);
        if (abs(found - expected) > tolerance)
          fail_msg("%s: (%u, %u, %u) is %d, expected %d", what, c, y, x, found, expected);
      }
}

static void test_png(void **state) {
  (void)state;
  static const int types[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
  static buffer file;
  for (int i = 0; i < 6; i++) {
    uint8_t pixels[3 * HEIGHT * HEIGHT];
    int channels = i / 2 ? 3 : 1;
    sap_error err = {.text = ""};
    make_png(types[i / 2], i % 2, &file);
    if (decode(file.bytes, file.size, HEIGHT, channels, pixels, &err)) fail_msg("%s", err.text);
    assert_middle(pixels, channels, 0, i % 2 ? "interlaced" : "plain");
    sap__picture_info info;
    assert_int_equal(sap__picture_probe(file.bytes, file.size, "a.png", &info, &err), SAP_OK);
    assert_true(info.width == WIDTH && info.height == HEIGHT && info.channels == channels);
  }
}

static void test_jpeg(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    uint8_t pixels[3 * HEIGHT * HEIGHT];
    int channels = i / 2 ? 3 : 1;
    size_t size;
    sap_error err = {.text = ""};
    uint8_t *bytes = make_jpeg(channels, i % 2, 100, &size);
    if (decode(bytes, size, HEIGHT, channels, pixels, &err)) fail_msg("%s", err.text);
    assert_middle(pixels, channels, 4, i % 2 ? "progressive" : "sequential");
    free(bytes);
  }
}

/* libjpeg marks CMYK as Adobe's: a byte is what its ink leaves of the light, so R = C · K / 255. */
static void test_inks(void **state) {
  (void)state;
  size_t size;
  uint8_t pixels[3 * HEIGHT * HEIGHT], *bytes = make_jpeg(4, 0, 100, &size);
  sap_error err;
  assert_int_equal(decode(bytes, size, HEIGHT, 3, pixels, &err), SAP_OK);
  free(bytes);
  const unsigned cut = (WIDTH - HEIGHT) / 2;
  for (unsigned c = 0; c < 3; c++)
    for (unsigned y = 0; y < HEIGHT; y++)
      for (unsigned x = 0; x < HEIGHT; x++) {
        double light = smooth(x + cut, y, c) * smooth(x + cut, y, 3) / 255.0;
        assert_true(fabs(pixels[(c * HEIGHT + y) * HEIGHT + x] - light) < 6);
      }
}

/* Grey of colour is luma, colour of grey is three times the same. */
static void test_channels(void **state) {
  (void)state;
  static buffer file;
  uint8_t grey[HEIGHT * HEIGHT], colour[3 * HEIGHT * HEIGHT];
  make_png(PNG_COLOR_TYPE_RGB, 0, &file);
  assert_int_equal(decode(file.bytes, file.size, HEIGHT, 1, grey, NULL), SAP_OK);
  assert_int_equal(decode(file.bytes, file.size, HEIGHT, 3, colour, NULL), SAP_OK);
  const int plane = HEIGHT * HEIGHT;
  for (int k = 0; k < plane; k++) {
    double luma = 0.299 * colour[k] + 0.587 * colour[plane + k] + 0.114 * colour[2 * plane + k];
    assert_true(fabs(grey[k] - luma) <= 0.5001);
  }
  make_png(PNG_COLOR_TYPE_GRAY, 0, &file);
  assert_int_equal(decode(file.bytes, file.size, HEIGHT, 3, colour, NULL), SAP_OK);
  assert_memory_equal(colour, colour + plane, plane);
  assert_memory_equal(colour, colour + 2 * plane, plane);
}

/* ---- resizing ---- */

/* The formula in double over the whole picture: triangle filter, middle square. */
static double expected_at(const uint8_t *from, uint32_t width, uint32_t height, int side, int y, int x) {
  uint32_t shorter = width < height ? width : height;
  double full_width = floor((double)side * width / shorter), full_height = floor((double)side * height / shorter);
  double scale[2] = {height / full_height, width / full_width};
  double middle[2] = {(y + nearbyint((full_height - side) / 2) + 0.5) * scale[0],
                      (x + nearbyint((full_width - side) / 2) + 0.5) * scale[1]};
  double sum = 0, weights = 0;
  for (uint32_t v = 0; v < height; v++)
    for (uint32_t u = 0; u < width; u++) {
      double down = 1 - fabs(v + 0.5 - middle[0]) / fmax(1, scale[0]);
      double right = 1 - fabs(u + 0.5 - middle[1]) / fmax(1, scale[1]);
      if (down <= 0 || right <= 0) continue;
      sum += down * right * from[v * width + u];
      weights += down * right;
    }
  return sum / weights;
}

static void test_scale(void **state) {
  (void)state;
  static const struct {
    uint32_t width, height;
    int side;
  } cases[] = {{7, 7, 7}, {40, 23, 8}, {9, 50, 9}, {5, 4, 11}, {1, 1, 3}, {1, 300, 4}, {64, 3, 2}, {33, 32, 32}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const uint32_t width = cases[i].width, height = cases[i].height;
    const int side = cases[i].side;
    uint8_t from[4096], pixels[1024];
    uint32_t random = 5;
    for (uint32_t k = 0; k < width * height; k++) from[k] = (uint8_t)((random = random * 1664525u + 1013904223u) >> 24);
    sap__scaler scaler = {.side = side};
    for (int again = 0; again < 2; again++) { /* a scaler serves many pictures */
      assert_int_equal(sap__scaler_begin(&scaler, width, height, 1, 1, NULL), SAP_OK);
      for (uint32_t y = 0; y < height; y++) sap__scaler_row(&scaler, from + y * width);
      sap__scaler_end(&scaler, 1, pixels);
    }
    sap__scaler_free(&scaler);
    for (int y = 0; y < side; y++)
      for (int x = 0; x < side; x++)
        assert_true(fabs(pixels[y * side + x] - expected_at(from, width, height, side, y, x)) < 0.501);
  }
}

/* ---- what is refused ---- */

static void assert_refused(const uint8_t *bytes, size_t size, sap_status expected, const char *text) {
  uint8_t pixels[3 * 64];
  sap_error err = {.text = ""};
  uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees a read past the end */
  memcpy(exact, bytes, size);
  sap_status status = decode(exact, size, 8, 3, pixels, &err);
  free(exact);
  if (status != expected || err.code != expected || strncmp(err.text, "a.x: ", 5) || !strstr(err.text, text))
    fail_msg("%s after %zu bytes: %s", sap_status_name(status), size, err.text);
}

static void test_cut_anywhere(void **state) {
  (void)state;
  static buffer file;
  for (int i = 0; i < 4; i++) {
    make_png(i / 2 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, i % 2, &file);
    for (size_t cut = 0; cut < file.size; cut++)
      assert_refused(file.bytes, cut, SAP_ERROR_FORMAT, cut < 8 ? "neither a JPEG nor a PNG" : "damaged PNG picture: ");
    size_t size;
    uint8_t *bytes = make_jpeg(i / 2 ? 3 : 1, i % 2, 90, &size);
    for (size_t cut = 0; cut < size; cut++)
      assert_refused(bytes, cut, SAP_ERROR_FORMAT, cut < 3 ? "neither a JPEG nor a PNG" : "damaged JPEG picture: ");
    free(bytes);
  }
}

/* Every bit flipped: refused in one line, or a picture all the same. */
static void test_flipped_bits(void **state) {
  (void)state;
  static buffer file;
  size_t refused[2] = {0}, sizes[2], size;
  make_png(PNG_COLOR_TYPE_RGB, 0, &file);
  uint8_t *bytes = make_jpeg(3, 1, 80, &size), *files[2] = {file.bytes, bytes};
  sizes[0] = file.size;
  sizes[1] = size;
  for (int i = 0; i < 2; i++)
    for (size_t bit = 0; bit < 8 * sizes[i]; bit++) {
      uint8_t pixels[3 * 64];
      sap_error err = {.text = ""};
      files[i][bit / 8] ^= (uint8_t)(1 << bit % 8);
      sap_status status = decode(files[i], sizes[i], 8, 3, pixels, &err);
      files[i][bit / 8] ^= (uint8_t)(1 << bit % 8);
      refused[i] += status != SAP_OK;
      assert_true(!status || status == SAP_ERROR_FORMAT || status == SAP_ERROR_UNSUPPORTED);
      assert_true(!status || !strchr(err.text, '\n'));
    }
  free(bytes);
  assert_true(refused[0] == 8 * sizes[0]); /* every chunk of this one counts and has a checksum */
  assert_true(refused[1] > sizes[1]);
}

static void put(uint8_t *at, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

/* 60,000 × 60,000 pixels in a header of a small file. */
static void test_huge(void **state) {
  (void)state;
  static buffer file;
  static const uint8_t frame[] = {0xff, 0xc0};
  size_t size, at = 0;
  make_png(PNG_COLOR_TYPE_RGB, 0, &file);
  put(file.bytes + 16, 60000, 4);
  put(file.bytes + 20, 60000, 4);
  put(file.bytes + 29, (uint32_t)crc32(0, file.bytes + 12, 17), 4);
  assert_refused(file.bytes, file.size, SAP_ERROR_UNSUPPORTED, "60000 x 60000 pixels, expected at most 67108864");
  put(file.bytes + 16, 70000, 4);
  put(file.bytes + 20, 1, 4);
  put(file.bytes + 29, (uint32_t)crc32(0, file.bytes + 12, 17), 4);
  assert_refused(file.bytes, file.size, SAP_ERROR_UNSUPPORTED, "70000 x 1 pixels, expected at most 65535 a side");
  uint8_t *bytes = make_jpeg(3, 0, 90, &size);
  while (memcmp(bytes + at, frame, 2)) at++;
  put(bytes + at + 5, 60000, 2);
  put(bytes + at + 7, 60000, 2);
  assert_refused(bytes, size, SAP_ERROR_UNSUPPORTED, "60000 x 60000 pixels, expected at most 67108864");
  put(bytes + at + 5, 0, 2);
  assert_refused(bytes, size, SAP_ERROR_FORMAT, "damaged JPEG picture: ");
  free(bytes);
}

/* A progressive picture whose last scan comes again and again: each would cost a pass over all of it. */
static void test_many_scans(void **state) {
  (void)state;
  size_t size, last = 0;
  uint8_t *bytes = make_jpeg(1, 1, 80, &size), *many = malloc(400 * size);
  for (size_t i = 0; i + 1 < size; i++)
    if (bytes[i] == 0xff && bytes[i + 1] == 0xda) last = i;
  size_t length = last;
  memcpy(many, bytes, last);
  for (int i = 0; i < 300; i++, length += size - 2 - last) memcpy(many + length, bytes + last, size - 2 - last);
  memcpy(many + length, bytes + size - 2, 2);
  assert_refused(many, length + 2, SAP_ERROR_FORMAT, "damaged JPEG picture: ");
  free(many);
  free(bytes);
}

static void test_failing_allocations(void **state) {
  (void)state;
  static buffer file;
  size_t size;
  uint8_t *bytes = make_jpeg(3, 0, 90, &size), pixels[3 * 64];
  make_png(PNG_COLOR_TYPE_RGB, 1, &file);
  for (int png = 0; png < 2; png++)
    for (long k = 1;; k++) {
      size_t live = fault_live();
      sap_error err;
      fault_arm(k);
      sap_status status = decode(png ? file.bytes : bytes, png ? file.size : size, 8, 3, pixels, &err);
      if (!fault_disarm()) {
        assert_int_equal(status, SAP_OK);
        assert_true(k > 8);
        break;
      }
      assert_int_equal(status, SAP_ERROR_MEMORY);
      assert_int_equal(fault_live(), live);
    }
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_png),          cmocka_unit_test(test_jpeg),
      cmocka_unit_test(test_inks),         cmocka_unit_test(test_channels),
      cmocka_unit_test(test_scale),        cmocka_unit_test(test_cut_anywhere),
      cmocka_unit_test(test_flipped_bits), cmocka_unit_test(test_huge),
      cmocka_unit_test(test_many_scans),   cmocka_unit_test(test_failing_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
