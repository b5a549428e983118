#include "tensor/keep_kernel.h"

const sap__keep_kernels sap__keep_scalar = {keep_of_size};
