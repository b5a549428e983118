#include "io/onnx_tensor.h"

#include <string.h>

#include "sapwood/mask.h"

/* TensorProto.DataType: the element, its bits, the field of its typed values. */
static const struct {
  sap_dtype dtype;
  uint8_t bits, field;
} types[] = {
    {SAP_DTYPE_COUNT, 0, 0},                /* UNDEFINED */
    {SAP_F32, 32, TENSOR_FLOATS},           /* FLOAT */
    {SAP_U8, 8, TENSOR_INT32S},             /* UINT8 */
    {SAP_I8, 8, TENSOR_INT32S},             /* INT8 */
    {SAP_U16, 16, TENSOR_INT32S},           /* UINT16 */
    {SAP_I16, 16, TENSOR_INT32S},           /* INT16 */
    {SAP_I32, 32, TENSOR_INT32S},           /* INT32 */
    {SAP_I64, 64, TENSOR_INT64S},           /* INT64 */
    {SAP_DTYPE_COUNT, 0, TENSOR_STRINGS},   /* STRING */
    {SAP_BOOL, 8, TENSOR_INT32S},           /* BOOL */
    {SAP_F16, 16, TENSOR_INT32S},           /* FLOAT16 */
    {SAP_F64, 64, TENSOR_DOUBLES},          /* DOUBLE */
    {SAP_U32, 32, TENSOR_UINT64S},          /* UINT32 */
    {SAP_U64, 64, TENSOR_UINT64S},          /* UINT64 */
    {SAP_C64, 64, TENSOR_FLOATS},           /* COMPLEX64 */
    {SAP_DTYPE_COUNT, 128, TENSOR_DOUBLES}, /* COMPLEX128 */
    {SAP_BF16, 16, TENSOR_INT32S},          /* BFLOAT16 */
    {SAP_F8_E4M3, 8, TENSOR_INT32S},        /* FLOAT8E4M3FN */
    {SAP_F8_E4M3FNUZ, 8, TENSOR_INT32S},    /* FLOAT8E4M3FNUZ */
    {SAP_F8_E5M2, 8, TENSOR_INT32S},        /* FLOAT8E5M2 */
    {SAP_F8_E5M2FNUZ, 8, TENSOR_INT32S},    /* FLOAT8E5M2FNUZ */
    {SAP_DTYPE_COUNT, 4, TENSOR_INT32S},    /* UINT4 */
    {SAP_DTYPE_COUNT, 4, TENSOR_INT32S},    /* INT4 */
    {SAP_DTYPE_COUNT, 4, TENSOR_INT32S},    /* FLOAT4E2M1 */
    {SAP_F8_E8M0, 8, TENSOR_INT32S},        /* FLOAT8E8M0 */
    {SAP_DTYPE_COUNT, 2, TENSOR_INT32S},    /* UINT2 */
    {SAP_DTYPE_COUNT, 2, TENSOR_INT32S},    /* INT2 */
};
enum { TYPES = sizeof types / sizeof types[0] };

sap_dtype sap__onnx_dtype(uint32_t type) { return type < TYPES ? types[type].dtype : SAP_DTYPE_COUNT; }
unsigned sap__onnx_bits(uint32_t type) { return type < TYPES ? types[type].bits : 0; }
uint32_t sap__onnx_field(uint32_t type) { return type < TYPES ? types[type].field : 0; }

/* ---- reading the fields ---- */

static const char *add_dim(uint64_t length, unsigned *rank, uint64_t *shape) {
  if (length > INT64_MAX) return "a negative length in its shape";
  if (*rank < SAP_TENSOR_MAX_RANK) shape[*rank] = length;
  ++*rank;
  return NULL;
}

/* dims: one length a field, or all in one. */
static const char *add_dims(const sap__wire *wire, const sap__field *field, unsigned *rank, uint64_t *shape) {
  if (field->type == WIRE_VARINT) return add_dim(field->value, rank, shape);
  if (field->type != WIRE_BYTES) return "its shape has the wrong wire type";
  sap__wire inside = sap__wire_inside(wire, field);
  while (inside.at < inside.end) {
    uint64_t length;
    if (!sap__wire_varint(&inside, &length)) return "its shape is malformed";
    const char *wrong = add_dim(length, rank, shape);
    if (wrong) return wrong;
  }
  return NULL;
}

/* One field of typed values: packed ones, or a single value. */
static const char *add_values(const sap__field *field, sap__onnx_proto *proto) {
  uint32_t one = field->number == TENSOR_FLOATS    ? WIRE_FIXED32
                 : field->number == TENSOR_DOUBLES ? WIRE_FIXED64
                                                   : WIRE_VARINT;
  if (field->number == TENSOR_STRINGS) one = WIRE_BYTES;
  if (field->type != WIRE_BYTES && field->type != one) return "its values have the wrong wire type";
  if (field->begin == field->end && field->number != TENSOR_STRINGS) return NULL;
  if (proto->field && proto->field != field->number) return "values in two fields, expected one";
  if (!proto->field) proto->chunk = (sap__slice){field->begin, field->end};
  proto->field = field->number;
  proto->chunks++;
  proto->value_bytes += field->end - field->begin;
  return NULL;
}

static int decimal(const uint8_t *digits, uint64_t size, uint64_t *value) {
  *value = 0;
  if (!size) return 0;
  for (uint64_t i = 0; i < size; i++)
    if (digits[i] < '0' || digits[i] > '9' || __builtin_mul_overflow(*value, 10u, value) ||
        __builtin_add_overflow(*value, (uint64_t)(digits[i] - '0'), value))
      return 0;
  return 1;
}

static int is(const sap__wire *wire, sap__slice slice, const char *text) {
  size_t size = strlen(text);
  return sap__slice_size(slice) == size && !memcmp(wire->bytes + slice.begin, text, size);
}

/* One key and value of external_data. */
static const char *add_external(sap__wire pair, sap__onnx_proto *proto) {
  sap__slice key = {0, 0}, value = {0, 0};
  sap__field field;
  int more;
  while ((more = sap__wire_next(&pair, &field)) > 0) {
    if (field.type != WIRE_BYTES) continue;
    if (field.number == 1) key = (sap__slice){field.begin, field.end};
    if (field.number == 2) value = (sap__slice){field.begin, field.end};
  }
  if (more < 0) return "its external_data is malformed";
  const uint8_t *digits = pair.bytes + value.begin;
  if (is(&pair, key, "location")) {
    if (sap__slice_size(proto->location)) return "two locations of external data, expected one";
    proto->location = value;
  } else if (is(&pair, key, "offset")) {
    if (!decimal(digits, sap__slice_size(value), &proto->offset)) return "the offset of its external data is no number";
  } else if (is(&pair, key, "length")) {
    if (!decimal(digits, sap__slice_size(value), &proto->length)) return "the length of its external data is no number";
    proto->has_length = 1;
  } else if (!is(&pair, key, "checksum")) {
    return "an unknown key in its external_data, expected location, offset, length or checksum";
  }
  return NULL;
}

static const char *set_slice(const sap__field *field, sap__slice *slice) {
  if (field->type != WIRE_BYTES) return "a field has the wrong wire type";
  if (sap__slice_size(*slice)) return "a field is there twice";
  *slice = (sap__slice){field->begin, field->end};
  return NULL;
}

static const char *add_field(const sap__field *field, sap__onnx_proto *proto, int *types_seen) {
  switch (field->number) {
    case TENSOR_DIMS: return add_dims(&proto->message, field, &proto->rank, proto->shape);
    case TENSOR_TYPE:
      if (field->type != WIRE_VARINT || ++*types_seen > 1) return "its data_type is malformed";
      proto->type = field->value > UINT32_MAX ? UINT32_MAX : (uint32_t)field->value;
      return NULL;
    case TENSOR_SEGMENT: proto->segmented = 1; return NULL;
    case TENSOR_FLOATS:
    case TENSOR_INT32S:
    case TENSOR_STRINGS:
    case TENSOR_INT64S:
    case TENSOR_DOUBLES:
    case TENSOR_UINT64S: return add_values(field, proto);
    case TENSOR_NAME: return set_slice(field, &proto->name);
    case TENSOR_RAW: return set_slice(field, &proto->raw);
    case TENSOR_EXTERNAL:
      if (field->type != WIRE_BYTES) return "its external_data is malformed";
      return add_external(sap__wire_inside(&proto->message, field), proto);
    case TENSOR_LOCATION:
      if (field->type != WIRE_VARINT || field->value > 1) return "its data_location is neither 0 nor 1";
      proto->external = (int)field->value;
      return NULL;
    default: return NULL; /* documentation, metadata, what later versions add */
  }
}

const char *sap__onnx_parse(sap__wire message, sap__onnx_proto *proto) {
  *proto = (sap__onnx_proto){.message = message};
  sap__field field;
  int more, types_seen = 0;
  const char *wrong = NULL;
  while (!wrong && (more = sap__wire_next(&message, &field)) != 0) {
    if (more < 0) return "a malformed tensor";
    wrong = add_field(&field, proto, &types_seen);
  }
  if (wrong) return wrong;
  if (proto->field && sap__slice_size(proto->raw)) return "values in two fields, expected one";
  if (proto->external && (proto->field || sap__slice_size(proto->raw))) return "values inside and in an external file";
  if (proto->external && !sap__slice_size(proto->location)) return "external data without a location";
  return NULL;
}

const char *sap__onnx_parse_sparse(sap__wire message, sap__onnx_sparse *sparse) {
  memset(sparse, 0, sizeof *sparse);
  sap__field field;
  int more;
  const char *wrong = NULL;
  while (!wrong && (more = sap__wire_next(&message, &field)) != 0) {
    if (more < 0) return "a malformed sparse tensor";
    if (field.number == SPARSE_DIMS) {
      wrong = add_dims(&message, &field, &sparse->rank, sparse->shape);
    } else if (field.number == SPARSE_VALUES || field.number == SPARSE_INDICES) {
      int *has = field.number == SPARSE_VALUES ? &sparse->has_values : &sparse->has_indices;
      if (field.type != WIRE_BYTES || (*has)++) return "the values or indices of a sparse tensor are malformed";
      wrong = sap__onnx_parse(sap__wire_inside(&message, &field),
                              field.number == SPARSE_VALUES ? &sparse->values : &sparse->indices);
    }
  }
  if (!wrong && !sparse->has_values) return "a sparse tensor without values";
  return wrong;
}

/* ---- decoding ---- */

int sap__onnx_in_place(const sap__onnx_proto *proto, uint64_t *offset) {
  sap_dtype dtype = sap__onnx_dtype(proto->type);
  int fixed = proto->field == TENSOR_FLOATS || (proto->field == TENSOR_DOUBLES && dtype == SAP_F64);
  *offset = proto->field ? proto->chunk.begin : proto->raw.begin;
  return !proto->field || (fixed && proto->chunks == 1);
}

/* Walks over the numbers of a tensor, wherever they are. */
typedef struct cursor {
  const sap__onnx_proto *proto;
  sap__wire fields, chunk;
  unsigned raw_size; /* bytes of a raw element; 0: typed */
} cursor;

static cursor cursor_at(const sap__onnx_proto *proto) {
  cursor c = {.proto = proto, .fields = proto->message, .chunk = proto->message};
  c.chunk.at = c.chunk.end = 0;
  if (proto->field) return c;
  c.raw_size = sap__onnx_bits(proto->type) / 8;
  c.chunk.at = proto->raw.begin;
  c.chunk.end = proto->raw.end;
  return c;
}

/* Makes c->chunk hold something; 0: there is no more. */
static int cursor_fill(cursor *c) {
  sap__field field;
  while (c->chunk.at == c->chunk.end) {
    if (c->raw_size || sap__wire_next(&c->fields, &field) <= 0) return 0;
    if (field.number == c->proto->field) c->chunk = sap__wire_inside(&c->fields, &field);
  }
  return 1;
}

/* The next integer, sign-extended where the raw type is signed. 0: none left, or malformed. */
static int cursor_next(cursor *c, uint64_t *value) {
  if (!cursor_fill(c)) return 0;
  if (!c->raw_size) return sap__wire_varint(&c->chunk, value);
  if (c->chunk.end - c->chunk.at < c->raw_size) return 0;
  *value = 0;
  memcpy(value, c->chunk.bytes + c->chunk.at, c->raw_size); /* little-endian, as the machine is */
  c->chunk.at += c->raw_size;
  unsigned unused = 64 - 8 * c->raw_size;
  *value = (uint64_t)((int64_t)(*value << unused) >> unused);
  return 1;
}

/* 1 if a typed value is one of the type's. */
static int fits(sap_dtype dtype, uint64_t value) {
  unsigned bits = sap_dtype_bits(dtype);
  if (dtype == SAP_BOOL) return value <= 1;
  if (bits == 64) return 1;
  if (dtype != SAP_I8 && dtype != SAP_I16 && dtype != SAP_I32) return value >> bits == 0;
  int64_t bound = (int64_t)1 << (bits - 1);
  return (int64_t)value >= -bound && (int64_t)value < bound;
}

static const char *decode_fixed(const sap__onnx_proto *proto, uint64_t bytes, uint8_t *out) {
  cursor c = cursor_at(proto);
  uint64_t done = 0;
  while (cursor_fill(&c)) {
    uint64_t now = c.chunk.end - c.chunk.at;
    if (now > bytes - done) return "more values than its shape says";
    memcpy(out + done, c.chunk.bytes + c.chunk.at, (size_t)now);
    c.chunk.at = c.chunk.end;
    done += now;
  }
  return done == bytes ? NULL : "fewer values than its shape says";
}

const char *sap__onnx_decode(const sap__onnx_proto *proto, sap_dtype dtype, uint64_t count, void *out) {
  size_t size = sap_dtype_bits(dtype) / 8;
  if (!proto->field || proto->field == TENSOR_FLOATS || proto->field == TENSOR_DOUBLES)
    return decode_fixed(proto, count * size, out);
  cursor c = cursor_at(proto);
  uint8_t *next = out;
  for (uint64_t i = 0; i < count; i++, next += size) {
    uint64_t value;
    if (!cursor_next(&c, &value)) return "fewer values than its shape says, or a malformed one";
    if (!fits(dtype, value)) return "a value outside the range of its data_type";
    memcpy(next, &value, size); /* little-endian: the low bytes come first */
  }
  return cursor_fill(&c) ? "more values than its shape says" : NULL;
}

/* The next position in the flattened tensor; coordinates are read one an axis where the indices are pairs,
 * triples, …. NULL, or what is wrong. */
static const char *next_index(const sap__onnx_sparse *sparse, cursor *c, uint64_t count, uint64_t *index) {
  uint64_t value;
  *index = 0;
  if (sparse->indices.rank == 1) {
    if (!cursor_next(c, index)) return "fewer indices than values, or a malformed one";
    return *index < count ? NULL : "an index outside its shape";
  }
  for (unsigned axis = 0; axis < sparse->rank; axis++) {
    if (!cursor_next(c, &value)) return "fewer indices than values, or a malformed one";
    if (value >= sparse->shape[axis]) return "an index outside its shape";
    *index = *index * sparse->shape[axis] + value;
  }
  return NULL;
}

const char *sap__onnx_scatter(const sap__onnx_sparse *sparse, sap_dtype dtype, const void *values, void *dense,
                              uint64_t *mask) {
  size_t size = sap_dtype_bits(dtype) / 8;
  uint64_t count = 1, nnz = sparse->values.shape[0], previous = 0;
  for (unsigned axis = 0; axis < sparse->rank; axis++) count *= sparse->shape[axis];
  if (!nnz) return NULL;
  cursor c = cursor_at(&sparse->indices);
  for (uint64_t i = 0; i < nnz; i++) {
    uint64_t index;
    const char *wrong = next_index(sparse, &c, count, &index);
    if (wrong) return wrong;
    if (i && index <= previous) return "its indices do not ascend";
    previous = index;
    memcpy((uint8_t *)dense + index * size, (const uint8_t *)values + i * size, size);
    sap_mask_set(mask, index);
  }
  return cursor_fill(&c) ? "more indices than values" : NULL;
}
