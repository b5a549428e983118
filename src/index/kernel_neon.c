#define sap__index_scalar sap__index_neon
#include "index/kernel_scalar.c"
