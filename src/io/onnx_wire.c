#include "io/onnx_wire.h"

int sap__wire_varint(sap__wire *wire, uint64_t *value) {
  uint64_t result = 0;
  for (unsigned i = 0; i < WIRE_VARINT_MAX && i < wire->end - wire->at; i++) {
    uint8_t byte = wire->bytes[wire->at + i];
    if (i == WIRE_VARINT_MAX - 1 && byte > 1) return 0;
    result |= (uint64_t)(byte & 0x7f) << 7 * i;
    if (byte & 0x80) continue;
    wire->at += i + 1;
    *value = result;
    return 1;
  }
  return 0;
}

/* `size` bytes, least significant first. */
static int fixed(sap__wire *wire, unsigned size, uint64_t *value) {
  if (wire->end - wire->at < size) return 0;
  *value = 0;
  for (unsigned i = 0; i < size; i++) *value |= (uint64_t)wire->bytes[wire->at + i] << 8 * i;
  wire->at += size;
  return 1;
}

static int contents(sap__wire *wire, sap__field *field) {
  field->begin = wire->at;
  switch (field->type) {
    case WIRE_VARINT: return sap__wire_varint(wire, &field->value);
    case WIRE_FIXED64: return fixed(wire, 8, &field->value);
    case WIRE_FIXED32: return fixed(wire, 4, &field->value);
    case WIRE_BYTES: {
      uint64_t size;
      if (!sap__wire_varint(wire, &size) || size > wire->end - wire->at) return 0;
      field->begin = wire->at;
      wire->at += size;
      return 1;
    }
    default: return 0;
  }
}

int sap__wire_next(sap__wire *wire, sap__field *field) {
  if (wire->at == wire->end) return 0;
  uint64_t start = wire->at, key;
  if (!sap__wire_varint(wire, &key)) return -1;
  *field = (sap__field){.start = start, .length = wire->at, .number = (uint32_t)(key >> 3), .type = key & 7};
  if (key > UINT32_MAX || !field->number || !contents(wire, field)) {
    wire->at = start;
    return -1;
  }
  field->end = wire->at;
  return 1;
}

unsigned sap__varint_write(uint64_t value, uint8_t out[WIRE_VARINT_MAX]) {
  unsigned size = 0;
  for (; value >= 0x80; value >>= 7) out[size++] = (uint8_t)(value | 0x80);
  out[size++] = (uint8_t)value;
  return size;
}
