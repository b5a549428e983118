#include "tensor/keep_kernel.h"

const sap__keep_kernels sap__keep_avx2 = {keep_of_size};
