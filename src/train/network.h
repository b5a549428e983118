/* The network of a run. One that came from a file stays with the run as network.onnx: whatever becomes of the file,
 * the run can be resumed and evaluated. */
#ifndef SAP_TRAIN_NETWORK_H
#define SAP_TRAIN_NETWORK_H

#include "sapwood/dataset.h"
#include "train/arena.h"

/* Builds the network `model`; where it is a file, from the copy in the directory `run` if that has one. run NULL: no
 * run. Errors: as sap__model_graph. */
sap_status sap__network_open(const char *run, const char *model, sap__shape input, int classes, sap__graph **graph,
                             sap_error *err);

/* The pictures that a network from a file takes, for a set that is resized to them; elsewhere nothing is asked for. */
sap_dataset_options sap__network_pictures(const char *run, const char *model, const char *data);

/* Sets the arena to the initial weights: of the seed, or of the network's file, if it has one and `fresh` is 0. */
sap_status sap__network_initialise(sap__arena *arena, uint64_t seed, int fresh, sap_error *err);

/* Sets the arena to the weights of the network's file, which must have one; a nonzero weight is a kept one. */
sap_status sap__network_weights(sap__arena *arena, sap_error *err);

/* Writes a network that came from a file into the run with its weights: network.onnx (iteration < 0), which the graph
 * from then on comes from, or iteration-NN.onnx. Nothing for a network that has no file. */
sap_status sap__network_keep(sap__graph *graph, const float *weights, const char *run, int iteration, sap_error *err);

#endif
