#include "engine/onednn/onednn.h"

extern const sap__op_impl sap__onednn_linear, sap__onednn_relu, sap__onednn_cross_entropy;

static const sap__op_impl *const ops[SAP_OP_COUNT] = {
    [SAP_OP_LINEAR] = &sap__onednn_linear,
    [SAP_OP_RELU] = &sap__onednn_relu,
    [SAP_OP_CROSS_ENTROPY] = &sap__onednn_cross_entropy,
};

const sap__engine sap__engine_onednn = {"onednn", sizeof(float), ops, NULL};
