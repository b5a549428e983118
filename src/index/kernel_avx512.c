#define sap__index_scalar sap__index_avx512
#include "index/kernel_scalar.c"
