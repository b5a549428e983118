#include "data/idx.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"

#define U64(x) ((unsigned long long)(x))
#define BUFFER (128u << 10)     /* zlib's, compressed side; its own 8 KiB costs more system calls */
#define PIECE (64u << 20)       /* one gzread: it counts in int */
#define INFLATE_RATIO_MAX 1032u /* deflate's: 258 bytes from two bits */

/* Reads up to `size` bytes; *got < size only at the end of the file. */
static sap_status read_bytes(gzFile stream, const char *name, void *bytes, uint64_t size, uint64_t *got,
                             sap_error *err) {
  uint64_t done = 0;
  while (done < size) {
    unsigned piece = size - done < PIECE ? (unsigned)(size - done) : PIECE;
    int now = gzread(stream, (uint8_t *)bytes + done, piece);
    if (now > 0) done += (uint64_t)now;
    if (now == (int)piece) continue;
    int problem;
    const char *text = gzerror(stream, &problem);
    if (problem == Z_ERRNO) return sap__fail_system(err, name, errno);
    if (problem == Z_MEM_ERROR) return sap__fail_memory(err, BUFFER);
    if (problem == Z_BUF_ERROR)
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: the gzip stream is cut off after %llu bytes", name,
                       U64(gztell(stream)));
    if (problem) return sap__fail(err, SAP_ERROR_FORMAT, "%s: damaged gzip stream: %.60s", name, text);
    if (now <= 0) break;
  }
  *got = done;
  return SAP_OK;
}

static const char *magic_text(uint32_t magic) {
  return magic == SAP__IDX_IMAGES ? " (images)" : magic == SAP__IDX_LABELS ? " (labels)" : "";
}

static uint32_t big_endian(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Reads and checks magic number and axes; *count is what the first axis says. */
static sap_status read_header(gzFile stream, const char *name, uint32_t magic, uint32_t height, uint32_t width,
                              uint32_t *count, sap_error *err) {
  uint8_t header[16];
  uint64_t size = magic == SAP__IDX_IMAGES ? 16 : 8, got = 0;
  /* A file of the other kind may be shorter than this one's header: the magic number is judged first. */
  sap_status code = read_bytes(stream, name, header, size, &got, err);
  if (code) return code;
  if (got >= 4 && big_endian(header) != magic)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: magic number 0x%08x%s, expected 0x%08x%s", name, big_endian(header),
                     magic_text(big_endian(header)), magic, magic_text(magic));
  if (got < size)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: %llu bytes, expected at least %llu for the header", name, U64(got),
                     U64(size));
  if (magic == SAP__IDX_IMAGES && (big_endian(header + 8) != height || big_endian(header + 12) != width))
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: pictures of %u x %u, expected %u x %u", name, big_endian(header + 8),
                     big_endian(header + 12), height, width);
  *count = big_endian(header + 4);
  if (!*count) return sap__fail(err, SAP_ERROR_FORMAT, "%s: it holds 0 elements, expected at least 1", name);
  return SAP_OK;
}

/* Reads the elements and makes sure that the file ends there. */
static sap_status read_elements(gzFile stream, const char *name, uint64_t bytes, uint8_t *block, sap_error *err) {
  uint64_t got = 0, extra = 0;
  uint8_t past;
  sap_status code = read_bytes(stream, name, block, bytes, &got, err);
  if (!code && got < bytes)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: %llu bytes of elements, expected %llu", name, U64(got), U64(bytes));
  /* This read past the end is also the one that makes zlib verify the checksum. */
  if (!code) code = read_bytes(stream, name, &past, 1, &extra, err);
  if (!code && extra)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: more bytes follow the %llu that its header announces", name,
                     U64(bytes));
  return code;
}

static sap_status read_stream(gzFile stream, uint64_t file_size, const char *name, uint32_t magic, uint32_t height,
                              uint32_t width, uint8_t **elements, uint32_t *count, sap_error *err) {
  uint32_t announced = 0;
  sap_status code = read_header(stream, name, magic, height, width, &announced, err);
  if (code) return code;
  uint64_t bytes = announced;
  if (magic == SAP__IDX_IMAGES && __builtin_mul_overflow(bytes, (uint64_t)height * width, &bytes)) bytes = UINT64_MAX;
  /* The header may lie: take no memory that the file's own bytes could not fill. */
  uint64_t most = file_size < SAP__IDX_MAX_BYTES ? file_size * (gzdirect(stream) ? 1 : INFLATE_RATIO_MAX) : UINT64_MAX;
  if (most > SAP__IDX_MAX_BYTES) most = SAP__IDX_MAX_BYTES;
  if (bytes > most)
    return sap__fail(err, SAP_ERROR_FORMAT,
                     "%s: the header announces %llu bytes of elements, the file holds at most %llu", name, U64(bytes),
                     U64(most));
  if (!elements) return *count = announced, SAP_OK;
  uint8_t *block = sap__alloc((size_t)bytes, 1);
  if (!block) return sap__fail_memory(err, (size_t)bytes);
  code = read_elements(stream, name, bytes, block, err);
  if (code) {
    sap__free(block);
    return code;
  }
  *elements = block;
  *count = announced;
  return SAP_OK;
}

sap_status sap__idx_read_descriptor(int descriptor, uint64_t size, const char *path, uint32_t magic, uint32_t height,
                                    uint32_t width, uint8_t **elements, uint32_t *count, sap_error *err) {
  gzFile stream = gzdopen(descriptor, "rb");
  if (!stream) {
    close(descriptor);
    return sap__fail_memory(err, BUFFER);
  }
  (void)gzbuffer(stream, BUFFER);
  sap_status code = read_stream(stream, size, sap__path_tail(path), magic, height, width, elements, count, err);
  gzclose_r(stream);
  return code;
}

sap_status sap__idx_read(const char *path, uint32_t magic, uint32_t height, uint32_t width, uint8_t **elements,
                         uint32_t *count, sap_error *err) {
  int fd;
  uint64_t size;
  sap_status code = sap__file_open(path, &fd, &size, err);
  if (code) return code;
  return sap__idx_read_descriptor(fd, size, path, magic, height, width, elements, count, err);
}
