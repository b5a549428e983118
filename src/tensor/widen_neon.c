#define sap__widen_scalar sap__widen_neon
#include "tensor/widen_scalar.c"
