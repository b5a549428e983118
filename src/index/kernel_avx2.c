#define sap__index_scalar sap__index_avx2
#include "index/kernel_scalar.c"
