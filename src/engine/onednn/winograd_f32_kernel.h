/* The template of Winograd's passes for floats: the includer defines SAP_KERNEL(name), NAME and its instruction set by
 * compiler flags. */
#define LANES_BF16 0
#define SIDE 4
#if defined(__AVX512F__) || defined(__aarch64__) /* 32 registers */
#define VECTORS 4
#else
#define VECTORS 2
#endif
#include "engine/onednn/lanes.h"
#include "engine/onednn/winograd_kernel.h"

extern const sap__winograd_kernels SAP_KERNEL(sap__winograd_f32);
const sap__winograd_kernels SAP_KERNEL(sap__winograd_f32) = {
    "sap_wino_4x3:" NAME, 4, SIDE, LANES, OUTPUTS, weights_in, run_pass, run_gradients, weights_out};
