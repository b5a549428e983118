#define sap__widen_scalar sap__widen_avx2
#include "tensor/widen_scalar.c"
