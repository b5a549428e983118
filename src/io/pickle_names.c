#include "io/pickle_names.h"

#include <string.h>

#define TORCH "torch"
#define UTILS "torch._utils"
#define STORAGE "torch.storage"

static const struct {
  const char *module, *name;
  sap__pickle_kind kind;
  int integer;
} names[] = {
    {"collections", "OrderedDict", SAP__PICKLE_CALL, SAP__CALL_DICT},
    {UTILS, "_rebuild_tensor_v2", SAP__PICKLE_CALL, SAP__CALL_TENSOR_V2},
    {UTILS, "_rebuild_tensor_v3", SAP__PICKLE_CALL, SAP__CALL_TENSOR_V3},
    {UTILS, "_rebuild_parameter", SAP__PICKLE_CALL, SAP__CALL_PARAMETER},
    {TORCH, "Size", SAP__PICKLE_CALL, SAP__CALL_SIZE},
    {TORCH, "device", SAP__PICKLE_CALL, SAP__CALL_OTHER},
    {TORCH, "FloatStorage", SAP__PICKLE_TYPE, SAP_F32},
    {TORCH, "HalfStorage", SAP__PICKLE_TYPE, SAP_F16},
    {TORCH, "BFloat16Storage", SAP__PICKLE_TYPE, SAP_BF16},
    {TORCH, "DoubleStorage", SAP__PICKLE_TYPE, SAP_F64},
    {TORCH, "LongStorage", SAP__PICKLE_TYPE, SAP_I64},
    {TORCH, "IntStorage", SAP__PICKLE_TYPE, SAP_I32},
    {TORCH, "ShortStorage", SAP__PICKLE_TYPE, SAP_I16},
    {TORCH, "CharStorage", SAP__PICKLE_TYPE, SAP_I8},
    {TORCH, "ByteStorage", SAP__PICKLE_TYPE, SAP_U8},
    {TORCH, "BoolStorage", SAP__PICKLE_TYPE, SAP_BOOL},
    {TORCH, "ComplexFloatStorage", SAP__PICKLE_TYPE, SAP_C64},
    {TORCH, "UntypedStorage", SAP__PICKLE_TYPE, SAP_DTYPE_COUNT},
    {STORAGE, "UntypedStorage", SAP__PICKLE_TYPE, SAP_DTYPE_COUNT},
    {TORCH, "float32", SAP__PICKLE_TYPE, SAP_F32},
    {TORCH, "float16", SAP__PICKLE_TYPE, SAP_F16},
    {TORCH, "bfloat16", SAP__PICKLE_TYPE, SAP_BF16},
    {TORCH, "float64", SAP__PICKLE_TYPE, SAP_F64},
    {TORCH, "int64", SAP__PICKLE_TYPE, SAP_I64},
    {TORCH, "int32", SAP__PICKLE_TYPE, SAP_I32},
    {TORCH, "int16", SAP__PICKLE_TYPE, SAP_I16},
    {TORCH, "int8", SAP__PICKLE_TYPE, SAP_I8},
    {TORCH, "uint8", SAP__PICKLE_TYPE, SAP_U8},
    {TORCH, "bool", SAP__PICKLE_TYPE, SAP_BOOL},
    {TORCH, "complex64", SAP__PICKLE_TYPE, SAP_C64},
    {TORCH, "uint16", SAP__PICKLE_TYPE, SAP_U16},
    {TORCH, "uint32", SAP__PICKLE_TYPE, SAP_U32},
    {TORCH, "uint64", SAP__PICKLE_TYPE, SAP_U64},
    {TORCH, "float8_e4m3fn", SAP__PICKLE_TYPE, SAP_F8_E4M3},
    {TORCH, "float8_e5m2", SAP__PICKLE_TYPE, SAP_F8_E5M2},
    {TORCH, "float8_e4m3fnuz", SAP__PICKLE_TYPE, SAP_F8_E4M3FNUZ},
    {TORCH, "float8_e5m2fnuz", SAP__PICKLE_TYPE, SAP_F8_E5M2FNUZ},
    {TORCH, "float8_e8m0fnu", SAP__PICKLE_TYPE, SAP_F8_E8M0},
};

static int equal(const char *text, const char *bytes, size_t length) {
  return strlen(text) == length && !memcmp(text, bytes, length);
}

sap__pickle_value sap__pickle_name(const char *module, size_t module_length, const char *name, size_t name_length) {
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (equal(names[i].module, module, module_length) && equal(names[i].name, name, name_length))
      return (sap__pickle_value){.kind = names[i].kind, .integer = names[i].integer};
  return (sap__pickle_value){.kind = SAP__PICKLE_OTHER};
}
