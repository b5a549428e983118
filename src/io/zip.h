/* Zip archives in mapped files, read and written: what NPZ and PyTorch files are made of.
 *
 * Format: PKWARE APPNOTE 6.3 (stored and deflated members, zip64). The archive is not trusted: the directory,
 * every local header and the place of every member are checked when it is opened, and no two members overlap.
 */
#ifndef SAP_IO_ZIP_H
#define SAP_IO_ZIP_H

#include <zlib.h>

#include "io/atomic.h"
#include "io/format.h"

typedef struct sap__zip_member {
  const char *name; /* name_length bytes in the mapped file, not terminated */
  uint16_t name_length;
  uint16_t flags;
  uint16_t method;       /* SAP__ZIP_STORED or SAP__ZIP_DEFLATED */
  uint32_t crc;          /* of the content */
  uint64_t packed, size; /* bytes in the file, and of the content */
  uint64_t header;       /* first byte of the local header */
  uint64_t data;         /* first byte of the packed content */
  uint64_t central;      /* first byte of the directory's record */
} sap__zip_member;

enum { SAP__ZIP_STORED = 0, SAP__ZIP_DEFLATED = 8 };

typedef struct sap__zip {
  const sap__map *map; /* borrowed */
  const char *path;    /* for error texts, borrowed */
  size_t count;
  sap__zip_member *members; /* in the order of the directory */
  uint32_t *by_name;        /* (count) sorted */
} sap__zip;

/* Reads and checks the directory. lenient 1: bytes behind the archive's end are allowed. After an error there
 * is nothing to close. Errors: SAP_ERROR_FORMAT, SAP_ERROR_UNSUPPORTED (encryption, other compressions),
 * SAP_ERROR_MEMORY. */
sap_status sap__zip_open(sap__zip *zip, const sap__map *map, const char *path, int lenient,
                         sap_error *err) SAP_WARN_UNUSED;
void sap__zip_close(sap__zip *zip);

/* The member of that name; NULL if there is none. O(log count). */
const sap__zip_member *sap__zip_find(const sap__zip *zip, const char *name, size_t length);

/* 1 if the member's name ends in `suffix`. */
int sap__zip_ends(const sap__zip_member *member, const char *suffix);

/* The content of a member from its start on, in as many reads as the caller likes. */
typedef struct sap__zip_stream {
  const sap__zip *zip;
  const sap__zip_member *member;
  z_stream inflate;
  uint64_t given; /* bytes handed over to inflate */
  uint64_t read;  /* bytes of content handed out */
  uint32_t crc;
} sap__zip_stream;

sap_status sap__zip_stream_open(sap__zip_stream *stream, const sap__zip *zip, const sap__zip_member *member,
                                sap_error *err) SAP_WARN_UNUSED;
/* Exactly `size` more bytes; the last of the content are handed out only if the checksum holds. */
sap_status sap__zip_stream_read(sap__zip_stream *stream, void *bytes, size_t size, sap_error *err) SAP_WARN_UNUSED;
void sap__zip_stream_close(sap__zip_stream *stream);

/* SAP_ERROR_FORMAT if the checksum of a stored member's content is wrong. One read of it. */
sap_status sap__zip_verify(const sap__zip *zip, const sap__zip_member *member, sap_error *err) SAP_WARN_UNUSED;

/* ---- writing ---- */

/* A new archive, one member behind the other; contents are stored, sizes are 64 bits wide as NumPy writes them. */
typedef struct sap__zip_writer {
  sap__atomic file;
  uint64_t offset;  /* bytes written */
  uint64_t header;  /* of the member being written */
  uint64_t written; /* bytes of its content */
  uint32_t crc;
  uint64_t count;
  uint8_t *directory; /* records of the members so far */
  size_t directory_size, directory_room;
} sap__zip_writer;

/*   code = sap__zip_writer_open(&writer, path, err);
 *   for each member: begin, any number of writes, end
 *   if (!code) code = sap__zip_writer_commit(&writer, err);
 *   sap__zip_writer_abort(&writer);  */
sap_status sap__zip_writer_open(sap__zip_writer *writer, const char *path, sap_error *err) SAP_WARN_UNUSED;
sap_status sap__zip_writer_begin(sap__zip_writer *writer, const char *name, size_t length,
                                 sap_error *err) SAP_WARN_UNUSED;
/* A sap__sink; `writer` is a sap__zip_writer. */
sap_status sap__zip_writer_write(void *writer, const void *bytes, size_t size, sap_error *err) SAP_WARN_UNUSED;
sap_status sap__zip_writer_end(sap__zip_writer *writer, const char *name, size_t length,
                               sap_error *err) SAP_WARN_UNUSED;
/* A whole member as it is in another archive, compressed or not. */
sap_status sap__zip_writer_copy(sap__zip_writer *writer, const sap__zip *from, const sap__zip_member *member,
                                sap_error *err) SAP_WARN_UNUSED;
sap_status sap__zip_writer_commit(sap__zip_writer *writer, sap_error *err) SAP_WARN_UNUSED;
void sap__zip_writer_abort(sap__zip_writer *writer);

/* Sends the new content of member `i`, of the same size as the old, to the sink. */
typedef sap_status sap__zip_content(void *user, size_t i, sap__sink *sink, void *sink_user, sap_error *err);

/* Writes the archive again. changed (count): 1 for members whose content comes from `content`. If all of these
 * are stored, every other byte but their checksums stays what and where it was (so alignment does, too); if one is
 * deflated, the archive is laid out anew with the changed members stored. Memory: a few bytes a member. */
sap_status sap__zip_rewrite(const sap__zip *zip, const uint8_t *changed, sap__zip_content *content, void *user,
                            const char *path, sap_error *err) SAP_WARN_UNUSED;

#endif
