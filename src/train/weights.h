/* Weights and masks of a network as a safetensors file, under the names of its PyTorch state dict. */
#ifndef SAP_TRAIN_WEIGHTS_H
#define SAP_TRAIN_WEIGHTS_H

#include "sapwood/checkpoint.h"
#include "sapwood/dataset.h"
#include "train/arena.h"

/* Writes the arena; `masks` 1: with "NAME.mask" (BOOL, the weight's shape) for every prunable NAME.
 * The metadata names network, input shape, classes, the normalisation of `data` and the iteration (left out when
 * negative). `bytes` is room for arena->prunable bytes (unused without masks). */
sap_status sap__weights_write(const char *path, const sap__arena *arena, const sap_dataset *data, int masks,
                              int iteration, uint8_t *bytes, sap_error *err);

/* Reads weights, and masks where the file has them, as tensors or by its sparse form (elsewhere a nonzero weight is a
 * kept one), from an open file of any format. SAP_ERROR_MISMATCH: a missing tensor, another shape or type. */
sap_status sap__weights_read(sap_checkpoint *file, sap__arena *arena, sap_error *err);

#endif
