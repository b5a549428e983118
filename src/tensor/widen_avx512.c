#define sap__widen_scalar sap__widen_avx512
#include "tensor/widen_scalar.c"
