/* Reading zip archives: the directory, and members' contents. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/zip.h"

#define U64(x) ((unsigned long long)(x))
#define LOCAL_SIGNATURE 0x04034b50u
#define CENTRAL_SIGNATURE 0x02014b50u
#define END_SIGNATURE 0x06054b50u
#define END64_SIGNATURE 0x06064b50u
#define LOCATOR_SIGNATURE 0x07064b50u
enum { LOCAL = 30, CENTRAL = 46, END = 22, END64 = 56, LOCATOR = 20, COMMENT_MAX = 65535, ENCRYPTED = 1 };

static uint64_t little(const uint8_t *bytes, int count) {
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; i--) value = value << 8 | bytes[i];
  return value;
}

static sap_status fail_member(sap_error *err, sap_status code, const sap__zip *zip, const sap__zip_member *member,
                              const char *text) {
  int shown = member->name_length < 60 ? member->name_length : 60;
  return sap__fail(err, code, "%s: %.*s: %s", sap__path_tail(zip->path), shown, member->name, text);
}

/* ---- the directory ---- */

/* What the record at the end says. */
typedef struct ending {
  uint64_t count, size, offset; /* of the directory */
  uint64_t at;                  /* first byte of the (zip64) end record */
} ending;

/* The end record's place; the file's size if there is none. It is the last signature whose comment ends with the file.
 */
static uint64_t find_end(const sap__map *map, int lenient) {
  uint64_t most = END + (lenient ? 2 : 1) * (uint64_t)COMMENT_MAX;
  uint64_t lowest = map->size > most ? map->size - most : 0;
  for (uint64_t at = map->size < END ? 0 : map->size - END + 1; at-- > lowest;) {
    if (little(map->bytes + at, 4) != END_SIGNATURE) continue;
    uint64_t end = at + END + little(map->bytes + at + 20, 2);
    if (lenient ? end <= map->size : end == map->size) return at;
  }
  return map->size;
}

static sap_status read_end(const sap__zip *zip, int lenient, ending *end, sap_error *err) {
  const sap__map *map = zip->map;
  const char *name = sap__path_tail(zip->path);
  uint64_t at = find_end(map, lenient);
  if (at == map->size)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: no end of a zip directory, expected one: not a zip file, or cut short",
                     name);
  const uint8_t *record = map->bytes + at;
  *end = (ending){little(record + 10, 2), little(record + 12, 4), little(record + 16, 4), at};
  uint64_t disks = little(record + 4, 2) | little(record + 6, 2);
  if (at >= LOCATOR && little(record - LOCATOR, 4) == LOCATOR_SIGNATURE) {
    uint64_t at64 = little(record - LOCATOR + 8, 8);
    if (at - LOCATOR < END64 || at64 > at - LOCATOR - END64 || little(map->bytes + at64, 4) != END64_SIGNATURE)
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: zip64 end record at %llu, expected it before the end at %llu", name,
                       U64(at64), U64(at));
    record = map->bytes + at64;
    *end = (ending){little(record + 32, 8), little(record + 40, 8), little(record + 48, 8), at64};
    disks = little(record + 16, 4) | little(record + 20, 4);
  }
  if (disks && disks != 0xFFFF)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: one of several parts, expected a whole zip file", name);
  if (end->offset > end->at || end->size != end->at - end->offset)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: zip directory of %llu bytes at %llu, expected it to end at %llu", name,
                     U64(end->size), U64(end->offset), U64(end->at));
  if (end->count > end->size / CENTRAL)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: %llu members in a zip directory of %llu bytes", name, U64(end->count),
                     U64(end->size));
  return SAP_OK;
}

/* Takes the fields that did not fit 32 bits from the zip64 extra field. -1 if they are not there. */
static int read_zip64(const uint8_t *extra, size_t size, sap__zip_member *member) {
  uint64_t *fields[] = {&member->size, &member->packed, &member->header};
  int wanted = 0;
  for (int i = 0; i < 3; i++) wanted += *fields[i] == UINT32_MAX;
  while (wanted && size >= 4) {
    size_t length = (size_t)little(extra + 2, 2);
    if (length > size - 4) return -1;
    if (little(extra, 2) == 1) {
      if (length < 8 * (size_t)wanted) return -1;
      const uint8_t *next = extra + 4;
      for (int i = 0; i < 3; i++)
        if (*fields[i] == UINT32_MAX) *fields[i] = little(next, 8), next += 8;
      return 0;
    }
    extra += 4 + length;
    size -= 4 + length;
  }
  return wanted ? -1 : 0;
}

/* The record at *at, which lies before `end`; moves *at behind it. */
static sap_status read_record(const sap__zip *zip, uint64_t *at, uint64_t end, sap__zip_member *member,
                              sap_error *err) {
  const uint8_t *record = zip->map->bytes + *at;
  if (end - *at < CENTRAL || little(record, 4) != CENTRAL_SIGNATURE)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: no record of a zip directory at %llu, expected one",
                     sap__path_tail(zip->path), U64(*at));
  size_t name = (size_t)little(record + 28, 2), extra = (size_t)little(record + 30, 2);
  uint64_t whole = CENTRAL + name + extra + little(record + 32, 2);
  if (whole > end - *at)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: record of %llu bytes at %llu, expected the zip directory to hold it",
                     sap__path_tail(zip->path), U64(whole), U64(*at));
  *member = (sap__zip_member){
      .name = (const char *)record + CENTRAL,
      .name_length = (uint16_t)name,
      .flags = (uint16_t)little(record + 8, 2),
      .method = (uint16_t)little(record + 10, 2),
      .crc = (uint32_t)little(record + 16, 4),
      .packed = little(record + 20, 4),
      .size = little(record + 24, 4),
      .header = little(record + 42, 4),
      .central = *at,
  };
  if (read_zip64(record + CENTRAL + name, extra, member))
    return fail_member(err, SAP_ERROR_FORMAT, zip, member, "sizes beyond 32 bits, expected a zip64 field with them");
  *at += whole;
  return SAP_OK;
}

/* Finds and checks the member's data behind its local header, all before `end`. */
static sap_status locate(const sap__zip *zip, sap__zip_member *member, uint64_t end, sap_error *err) {
  const uint8_t *header = member->header < end ? zip->map->bytes + member->header : NULL;
  if (!header || end - member->header < LOCAL || little(header, 4) != LOCAL_SIGNATURE)
    return fail_member(err, SAP_ERROR_FORMAT, zip, member, "no local header where the zip directory says");
  uint64_t room = end - member->header - LOCAL, name = little(header + 26, 2), extra = little(header + 28, 2);
  if (name != member->name_length || name + extra > room || memcmp(header + LOCAL, member->name, (size_t)name))
    return fail_member(err, SAP_ERROR_FORMAT, zip, member, "the local header has another name than the zip directory");
  member->data = member->header + LOCAL + name + extra;
  if (member->packed > room - name - extra)
    return fail_member(err, SAP_ERROR_FORMAT, zip, member, "the data runs past the end, expected it within the file");
  if (member->flags & ENCRYPTED)
    return fail_member(err, SAP_ERROR_UNSUPPORTED, zip, member, "encrypted, expected plain data");
  if (member->method != SAP__ZIP_STORED && member->method != SAP__ZIP_DEFLATED)
    return fail_member(err, SAP_ERROR_UNSUPPORTED, zip, member, "compressed in another way than deflate");
  if (member->method == SAP__ZIP_STORED && member->packed != member->size)
    return fail_member(err, SAP_ERROR_FORMAT, zip, member, "stored with two sizes, expected one");
  return SAP_OK;
}

/* A member's index beside what it is sorted by. */
typedef struct place {
  const sap__zip_member *member;
  uint32_t index;
} place;

static int by_header(const void *left, const void *right) {
  const sap__zip_member *a = ((const place *)left)->member, *b = ((const place *)right)->member;
  return (a->header > b->header) - (a->header < b->header);
}

static int compare_names(const char *a, size_t a_length, const char *b, size_t b_length) {
  size_t shorter = a_length < b_length ? a_length : b_length;
  int order = shorter ? memcmp(a, b, shorter) : 0;
  return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int by_name(const void *left, const void *right) {
  const sap__zip_member *a = ((const place *)left)->member, *b = ((const place *)right)->member;
  return compare_names(a->name, a->name_length, b->name, b->name_length);
}

/* Members may neither overlap (a way to make a small file unpack to a huge one) nor share a name. */
static sap_status check_all(sap__zip *zip, sap_error *err) {
  place *places = sap__calloc(zip->count, sizeof *places);
  zip->by_name = sap__calloc(zip->count, sizeof *zip->by_name);
  sap_status code = places && zip->by_name ? SAP_OK : sap__fail_memory(err, zip->count * sizeof *places);
  for (size_t i = 0; !code && i < zip->count; i++) places[i] = (place){&zip->members[i], (uint32_t)i};
  if (!code) qsort(places, zip->count, sizeof *places, by_header);
  for (size_t i = 1; !code && i < zip->count; i++) {
    const sap__zip_member *before = places[i - 1].member, *member = places[i].member;
    if (before->data + before->packed > member->header)
      code = fail_member(err, SAP_ERROR_FORMAT, zip, member, "overlaps another member of the zip file");
  }
  if (!code) qsort(places, zip->count, sizeof *places, by_name);
  for (size_t i = 0; !code && i < zip->count; i++) {
    zip->by_name[i] = places[i].index;
    if (i && !by_name(&places[i - 1], &places[i]))
      code = fail_member(err, SAP_ERROR_FORMAT, zip, places[i].member, "two members of this name, expected one");
  }
  sap__free(places);
  return code;
}

sap_status sap__zip_open(sap__zip *zip, const sap__map *map, const char *path, int lenient, sap_error *err) {
  *zip = (sap__zip){.map = map, .path = path};
  ending end = {0};
  sap_status code = read_end(zip, lenient, &end, err);
  if (code) return code;
  if (end.count > UINT32_MAX)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: %llu members, expected less than 2^32", sap__path_tail(path),
                     U64(end.count));
  zip->members = sap__calloc((size_t)end.count, sizeof *zip->members);
  if (!zip->members) return sap__fail_memory(err, (size_t)end.count * sizeof *zip->members);
  uint64_t at = end.offset;
  while (!code && zip->count < end.count) {
    sap__zip_member *member = &zip->members[zip->count];
    code = read_record(zip, &at, end.at, member, err);
    if (!code) code = locate(zip, member, end.offset, err);
    zip->count++;
  }
  if (!code && at != end.at)
    code = sap__fail(err, SAP_ERROR_FORMAT, "%s: zip directory ends at %llu, expected at %llu", sap__path_tail(path),
                     U64(at), U64(end.at));
  if (!code) code = check_all(zip, err);
  if (code) sap__zip_close(zip);
  return code;
}

void sap__zip_close(sap__zip *zip) {
  sap__free(zip->members);
  sap__free(zip->by_name);
  *zip = (sap__zip){0};
}

const sap__zip_member *sap__zip_find(const sap__zip *zip, const char *name, size_t length) {
  size_t low = 0, high = zip->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const sap__zip_member *member = &zip->members[zip->by_name[middle]];
    int order = compare_names(name, length, member->name, member->name_length);
    if (!order) return member;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

int sap__zip_ends(const sap__zip_member *member, const char *suffix) {
  size_t length = strlen(suffix);
  return member->name_length >= length && !memcmp(member->name + member->name_length - length, suffix, length);
}

/* ---- contents ---- */

sap_status sap__zip_stream_open(sap__zip_stream *stream, const sap__zip *zip, const sap__zip_member *member,
                                sap_error *err) {
  *stream = (sap__zip_stream){.zip = zip, .member = member};
  if (member->method == SAP__ZIP_DEFLATED && inflateInit2(&stream->inflate, -MAX_WBITS) != Z_OK) {
    stream->member = NULL;
    return sap__fail_memory(err, 1 << MAX_WBITS);
  }
  return SAP_OK;
}

/* At most 1 GiB at a time: zlib counts in 32 bits. */
static uInt piece(uint64_t left) { return left < (1u << 30) ? (uInt)left : 1u << 30; }

static sap_status unpack(sap__zip_stream *stream, uint8_t *bytes, size_t size, sap_error *err) {
  z_stream *z = &stream->inflate;
  const sap__zip_member *member = stream->member;
  while (size) {
    if (!z->avail_in) {
      z->avail_in = piece(member->packed - stream->given);
      z->next_in = (Bytef *)(uintptr_t)(stream->zip->map->bytes + member->data + stream->given);
      stream->given += z->avail_in;
    }
    z->next_out = bytes;
    z->avail_out = piece(size);
    int state = inflate(z, Z_NO_FLUSH);
    if (state == Z_MEM_ERROR) return sap__fail_memory(err, 1 << MAX_WBITS);
    size_t got = (size_t)(z->next_out - bytes);
    if ((state != Z_OK && state != Z_STREAM_END) || !got)
      return fail_member(err, SAP_ERROR_FORMAT, stream->zip, member, "the compressed data is damaged or ends early");
    bytes += got;
    size -= got;
  }
  return SAP_OK;
}

static uint32_t add_crc(uint32_t crc, const uint8_t *bytes, size_t size) {
  for (size_t done = 0; done < size; done += piece(size - done))
    crc = (uint32_t)crc32(crc, bytes + done, piece(size - done));
  return crc;
}

sap_status sap__zip_stream_read(sap__zip_stream *stream, void *bytes, size_t size, sap_error *err) {
  const sap__zip_member *member = stream->member;
  if (size > member->size - stream->read) return fail_member(err, SAP_ERROR_FORMAT, stream->zip, member, "ends early");
  if (member->method == SAP__ZIP_DEFLATED) {
    sap_status code = unpack(stream, bytes, size, err);
    if (code) return code;
  } else if (size) {
    memcpy(bytes, stream->zip->map->bytes + member->data + stream->read, size);
  }
  stream->crc = add_crc(stream->crc, bytes, size);
  stream->read += size;
  if (stream->read == member->size && stream->crc != member->crc)
    return fail_member(err, SAP_ERROR_FORMAT, stream->zip, member, "the data does not match its checksum");
  return SAP_OK;
}

void sap__zip_stream_close(sap__zip_stream *stream) {
  if (stream->member && stream->member->method == SAP__ZIP_DEFLATED) (void)inflateEnd(&stream->inflate);
  stream->member = NULL;
}

sap_status sap__zip_verify(const sap__zip *zip, const sap__zip_member *member, sap_error *err) {
  if (add_crc(0, zip->map->bytes + member->data, (size_t)member->size) == member->crc) return SAP_OK;
  return fail_member(err, SAP_ERROR_FORMAT, zip, member, "the data does not match its checksum");
}
