/* The template of batch norm's loops: the includer defines SAP_KERNEL(name) and its instruction set by compiler
 * flags. Bound by bytes: 4 read an element for the statistics, 4 read and 4 written forward, 8 read for the
 * backward sums, 8 read and 4 written backward; half of that in bf16. */
#include "engine/onednn/norm.h"

#define SAP_BODY "engine/onednn/norm_body.h"
#include "engine/onednn/lanes_both.h"

extern const sap__norm_pair SAP_KERNEL(sap__norm_loops);
const sap__norm_pair SAP_KERNEL(sap__norm_loops) = {
    {statistics_f32, forward_f32, backward_statistics_f32, backward_f32},
    {statistics_bf16, forward_bf16, backward_statistics_bf16, backward_bf16},
};
