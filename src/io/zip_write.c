/* Writing zip archives: anew, or again with some members' contents changed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/pages.h"
#include "io/file.h"
#include "io/zip.h"

enum {
  LOCAL = 30,
  LOCAL_CRC = 14,
  CENTRAL = 46,
  CENTRAL_CRC = 16,
  EXTRA64 = 20,         /* of a local header: the two sizes */
  CENTRAL_EXTRA64 = 28, /* of a directory's record: the sizes and the place */
  ENDING = 56 + 20 + 22,
  VERSION = 45, /* of zip64 */
  PIECE = 1 << 20,
  DATE_1980 = 0x21, /* the first of January, the earliest date there is: the same input gives the same bytes */
  UTF8_NAME = 1 << 11,
  DESCRIPTOR = 1 << 3
};
#define DESCRIPTOR_SIGNATURE 0x08074b50u

/* Appends a little-endian number. */
static uint8_t *put(uint8_t *at, uint64_t value, int count) {
  for (int i = 0; i < count; i++) *at++ = (uint8_t)(value >> 8 * i);
  return at;
}

/* Writes a number at a place that is written already. */
static sap_status patch(const sap__atomic *file, uint64_t offset, uint32_t value, sap_error *err) {
  uint8_t bytes[4];
  put(bytes, value, 4);
  for (size_t done = 0; done < sizeof bytes;) {
    ssize_t now = pwrite(file->descriptor, bytes + done, sizeof bytes - done, (off_t)(offset + done));
    if (now < 0 && errno == EINTR) continue;
    if (now < 0) return sap__fail_system(err, file->requested, errno);
    done += (size_t)now;
  }
  return SAP_OK;
}

/* ---- an archive anew ---- */

sap_status sap__zip_writer_open(sap__zip_writer *writer, const char *path, sap_error *err) {
  *writer = (sap__zip_writer){.file = {.descriptor = -1}};
  return sap__atomic_open(&writer->file, path, err);
}

static sap_status append(sap__zip_writer *writer, const void *bytes, size_t size, sap_error *err) {
  writer->offset += size;
  return sap__atomic_write(&writer->file, bytes, size, err);
}

/* A local header with 64-bit sizes. The name is UTF-8 when it is not ASCII. */
static sap_status put_local(sap__zip_writer *writer, const char *name, size_t length, unsigned method, uint32_t crc,
                            uint64_t packed, uint64_t size, sap_error *err) {
  if (length > UINT16_MAX)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%.60s: a name of %zu bytes, the zip format allows %d", name, length,
                     UINT16_MAX);
  uint8_t header[LOCAL], extra[EXTRA64], *at = put(header, 0x04034b50u, 4);
  at = put(put(put(at, VERSION, 2), UTF8_NAME, 2), method, 2);
  at = put(put(put(at, 0, 2), DATE_1980, 2), crc, 4);
  at = put(put(at, UINT32_MAX, 4), UINT32_MAX, 4);
  put(put(at, length, 2), EXTRA64, 2);
  put(put(put(put(extra, 1, 2), EXTRA64 - 4, 2), size, 8), packed, 8);
  writer->header = writer->offset;
  sap_status code = append(writer, header, sizeof header, err);
  if (!code) code = append(writer, name, length, err);
  return code ? code : append(writer, extra, sizeof extra, err);
}

static sap_status put_record(sap__zip_writer *writer, const char *name, size_t length, unsigned method, uint32_t crc,
                             uint64_t packed, uint64_t size, sap_error *err) {
  size_t whole = CENTRAL + length + CENTRAL_EXTRA64;
  if (writer->directory_room - writer->directory_size < whole) {
    size_t room = 2 * (writer->directory_size + whole);
    uint8_t *larger = sap__alloc(room, 1);
    if (!larger) return sap__fail_memory(err, room);
    if (writer->directory_size) memcpy(larger, writer->directory, writer->directory_size);
    sap__free(writer->directory);
    writer->directory = larger;
    writer->directory_room = room;
  }
  uint8_t *at = put(writer->directory + writer->directory_size, 0x02014b50u, 4);
  at = put(put(put(put(at, VERSION, 2), VERSION, 2), UTF8_NAME, 2), method, 2);
  at = put(put(put(at, 0, 2), DATE_1980, 2), crc, 4);
  at = put(put(at, UINT32_MAX, 4), UINT32_MAX, 4);
  at = put(put(put(at, length, 2), CENTRAL_EXTRA64, 2), 0, 2); /* no comment */
  at = put(put(put(at, 0, 4), 0, 4), UINT32_MAX, 4);           /* disk, attributes; the place is in the extra field */
  memcpy(at, name, length);
  at = put(put(at + length, 1, 2), CENTRAL_EXTRA64 - 4, 2);
  put(put(put(at, size, 8), packed, 8), writer->header, 8);
  writer->directory_size += whole;
  writer->count++;
  return SAP_OK;
}

/* The sizes and the checksum are written at the end, over zeros. */
sap_status sap__zip_writer_begin(sap__zip_writer *writer, const char *name, size_t length, sap_error *err) {
  writer->written = 0;
  writer->crc = 0;
  return put_local(writer, name, length, SAP__ZIP_STORED, 0, 0, 0, err);
}

sap_status sap__zip_writer_write(void *user, const void *bytes, size_t size, sap_error *err) {
  sap__zip_writer *writer = user;
  for (size_t done = 0; done < size;) {
    uInt now = size - done < PIECE ? (uInt)(size - done) : PIECE;
    writer->crc = (uint32_t)crc32(writer->crc, (const Bytef *)bytes + done, now);
    done += now;
  }
  writer->written += size;
  return append(writer, bytes, size, err);
}

sap_status sap__zip_writer_end(sap__zip_writer *writer, const char *name, size_t length, sap_error *err) {
  uint64_t sizes = writer->header + LOCAL + length + 4;
  sap_status code = patch(&writer->file, writer->header + LOCAL_CRC, writer->crc, err);
  for (int i = 0; !code && i < 4; i++) /* both sizes, their low and high halves */
    code = patch(&writer->file, sizes + 4 * (uint64_t)i, (uint32_t)(writer->written >> 32 * (i & 1)), err);
  return code ? code
              : put_record(writer, name, length, SAP__ZIP_STORED, writer->crc, writer->written, writer->written, err);
}

sap_status sap__zip_writer_copy(sap__zip_writer *writer, const sap__zip *from, const sap__zip_member *member,
                                sap_error *err) {
  sap_status code = put_local(writer, member->name, member->name_length, member->method, member->crc, member->packed,
                              member->size, err);
  for (uint64_t done = 0; !code && done < member->packed; done += PIECE) {
    size_t now = member->packed - done < PIECE ? (size_t)(member->packed - done) : PIECE;
    code = append(writer, from->map->bytes + member->data + done, now, err);
    sap__pages_drop(from->map->bytes + member->data + done, now);
  }
  return code ? code
              : put_record(writer, member->name, member->name_length, member->method, member->crc, member->packed,
                           member->size, err);
}

/* The records behind the directory; those of zip64 only where a number needs them: readers look for the plain one at
 * the start of an archive without members. */
sap_status sap__zip_writer_commit(sap__zip_writer *writer, sap_error *err) {
  uint64_t directory = writer->offset, size = writer->directory_size, end = directory + size, count = writer->count;
  uint8_t ending[ENDING], *at = ending;
  if (count >= UINT16_MAX || end >= UINT32_MAX) {
    at = put(put(at, 0x06064b50u, 4), 44, 8);
    at = put(put(put(put(at, VERSION, 2), VERSION, 2), 0, 4), 0, 4);
    at = put(put(put(put(at, count, 8), count, 8), size, 8), directory, 8);
    at = put(put(put(put(at, 0x07064b50u, 4), 0, 4), end, 8), 1, 4);
    count = count < UINT16_MAX ? count : UINT16_MAX;
    size = size < UINT32_MAX ? size : UINT32_MAX;
    directory = directory < UINT32_MAX ? directory : UINT32_MAX;
  }
  at = put(put(put(at, 0x06054b50u, 4), 0, 2), 0, 2);
  at = put(put(put(put(put(at, count, 2), count, 2), size, 4), directory, 4), 0, 2);
  sap_status code = append(writer, writer->directory, writer->directory_size, err);
  if (!code) code = append(writer, ending, (size_t)(at - ending), err);
  return code ? code : sap__atomic_commit(&writer->file, err);
}

void sap__zip_writer_abort(sap__zip_writer *writer) {
  sap__atomic_abort(&writer->file);
  sap__free(writer->directory);
  writer->directory = NULL;
  writer->directory_size = writer->directory_room = 0;
}

/* ---- an archive again ---- */

static sap_status rewrite_anew(const sap__zip *zip, const uint8_t *changed, sap__zip_content *content, void *user,
                               const char *path, sap_error *err) {
  sap__zip_writer writer;
  sap_status code = sap__zip_writer_open(&writer, path, err);
  for (size_t i = 0; !code && i < zip->count; i++) {
    const sap__zip_member *member = &zip->members[i];
    if (!changed[i]) {
      code = sap__zip_writer_copy(&writer, zip, member, err);
      continue;
    }
    code = sap__zip_writer_begin(&writer, member->name, member->name_length, err);
    if (!code) code = content(user, i, sap__zip_writer_write, &writer, err);
    if (!code) code = sap__zip_writer_end(&writer, member->name, member->name_length, err);
  }
  if (!code) code = sap__zip_writer_commit(&writer, err);
  sap__zip_writer_abort(&writer);
  return code;
}

/* Takes the new content of a member, behind what is written already. */
typedef struct overwriter {
  sap__atomic *file;
  uint64_t offset;
  uint32_t crc;
} overwriter;

static sap_status overwrite(void *user, const void *bytes, size_t size, sap_error *err) {
  overwriter *at = user;
  at->crc = (uint32_t)crc32(at->crc, bytes, (uInt)size);
  at->offset += size;
  return sap__atomic_write(at->file, bytes, size, err);
}

static uint32_t read32(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* The new checksum in the three places that may hold the old one: the directory, the local header, and the
 * descriptor behind the data, with or without a signature. */
static sap_status patch_crc(const sap__zip *zip, const sap__zip_member *member, const sap__atomic *file, uint32_t crc,
                            sap_error *err) {
  const uint8_t *bytes = zip->map->bytes;
  uint64_t local = member->header + LOCAL_CRC, behind = member->data + member->packed;
  sap_status code = patch(file, member->central + CENTRAL_CRC, crc, err);
  if (!code && (!(member->flags & DESCRIPTOR) || read32(bytes + local) == member->crc))
    code = patch(file, local, crc, err);
  if (code || !(member->flags & DESCRIPTOR)) return code;
  if (read32(bytes + behind) == DESCRIPTOR_SIGNATURE) behind += 4;
  /* The directory follows every member, so there are bytes to look at; they count only if they are the checksum. */
  return read32(bytes + behind) == member->crc && behind + 4 <= member->central ? patch(file, behind, crc, err)
                                                                                : SAP_OK;
}

/* A changed member, where its content lies, and its new checksum. */
typedef struct place {
  uint64_t data;
  size_t index;
  uint32_t crc;
} place;

static int by_data(const void *left, const void *right) {
  const place *a = left, *b = right;
  return (a->data > b->data) - (a->data < b->data);
}

/* The checksums come last: then the bytes that they are written over are there. */
static sap_status rewrite_places(const sap__zip *zip, place *places, size_t count, sap__zip_content *content,
                                 void *user, const char *path, sap_error *err) {
  sap__atomic file;
  sap_status code = sap__atomic_open(&file, path, err);
  if (code) return code;
  overwriter at = {.file = &file};
  for (size_t k = 0; !code && k < count; k++) {
    code = sap__map_copy(zip->map, at.offset, places[k].data, &file, err);
    at = (overwriter){&file, places[k].data, 0};
    if (!code) code = content(user, places[k].index, overwrite, &at, err);
    places[k].crc = at.crc;
  }
  if (!code) code = sap__map_copy(zip->map, at.offset, zip->map->size, &file, err);
  for (size_t k = 0; !code && k < count; k++)
    code = patch_crc(zip, &zip->members[places[k].index], &file, places[k].crc, err);
  if (!code) code = sap__atomic_commit(&file, err);
  sap__atomic_abort(&file);
  return code;
}

sap_status sap__zip_rewrite(const sap__zip *zip, const uint8_t *changed, sap__zip_content *content, void *user,
                            const char *path, sap_error *err) {
  place *places = sap__calloc(zip->count, sizeof *places);
  if (!places) return sap__fail_memory(err, zip->count * sizeof *places);
  size_t count = 0;
  int moved = 0;
  for (size_t i = 0; i < zip->count; i++) {
    if (!changed[i]) continue;
    places[count++] = (place){zip->members[i].data, i, 0};
    moved |= zip->members[i].method != SAP__ZIP_STORED;
  }
  qsort(places, count, sizeof *places, by_data);
  sap_status code = moved ? rewrite_anew(zip, changed, content, user, path, err)
                          : rewrite_places(zip, places, count, content, user, path, err);
  sap__free(places);
  return code;
}
