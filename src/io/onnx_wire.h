/* Protocol Buffers on the wire, as ONNX files use them: a strict walk over the fields of a mapped message.
 *
 * Generated code would unpack a model of up to 2 GiB into memory of its own. Here the file is looked at where
 * it lies, fields of no interest are skipped by their lengths, and a model is written again by splicing: all
 * bytes as they were but for the fields that change and the lengths of the messages around them.
 *
 * Format: https://protobuf.dev/programming-guides/encoding
 */
#ifndef SAP_IO_ONNX_WIRE_H
#define SAP_IO_ONNX_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum { WIRE_VARINT_MAX = 10 }; /* bytes that a varint takes at most */

/* The rest of a message: [at, end) of `bytes`. */
typedef struct sap__wire {
  const uint8_t *bytes;
  uint64_t at, end;
} sap__wire;

/* One field. Contents are [begin, end): of WIRE_BYTES what follows the length, of the others the number. */
typedef struct sap__field {
  uint64_t start;  /* first byte of the key */
  uint64_t length; /* first byte behind the key: of WIRE_BYTES, where the length is */
  uint64_t begin, end;
  uint64_t value; /* of WIRE_VARINT and the fixed ones */
  uint32_t number, type;
} sap__field;

/* The next field: 1; 0 at the end of the message; -1 where the bytes are no field, with wire->at there.
 * Groups, which ONNX never had, are no fields. */
int sap__wire_next(sap__wire *wire, sap__field *field);

/* Reads a varint and moves wire->at past it. 0: it is cut short or exceeds 64 bits. */
int sap__wire_varint(sap__wire *wire, uint64_t *value);

/* The contents of a field of WIRE_BYTES. */
static inline sap__wire sap__wire_inside(const sap__wire *wire, const sap__field *field) {
  return (sap__wire){wire->bytes, field->begin, field->end};
}

/* Bytes that the varint takes, 1 … 10. */
static inline unsigned sap__varint_size(uint64_t value) { return (70u - (unsigned)__builtin_clzll(value | 1)) / 7u; }

/* Writes the varint; returns its size. */
unsigned sap__varint_write(uint64_t value, uint8_t out[WIRE_VARINT_MAX]);

#endif
