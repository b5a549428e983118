#include "report/quantity.h"

#include <stddef.h>

const sap__quantity sap__quantities[SAP__QUANTITY_COUNT] = {
    [SAP__ACCURACY] = {.name = "accuracy", .key = "test_accuracy", .share = 1},
    [SAP__LOSS] = {.name = "loss", .key = "test_loss"},
    [SAP__TRAIN_LOSS] = {.name = "train_loss", .key = "train_loss", .epoch = 1},
    [SAP__DENSITY] = {.name = "density", .key = "density", .share = 1},
    [SAP__PQI] = {.name = "pqi", .key = "pqi", .share = 1},
    /* Of records without it that of all weights, which is the same at global scope. */
    [SAP__SCOPE_PQI] = {.name = "scope_pqi", .key = "scope_pqi", .stand_in = "pqi", .share = 1},
    [SAP__GINI] = {.name = "gini", .key = "gini", .share = 1},
    [SAP__RETAIN] = {.name = "retain", .key = "retain"},
    [SAP__PRUNE_RATIO] = {.name = "prune_ratio", .key = "prune_ratio", .share = 1},
    [SAP__PRUNED] = {.name = "pruned", .key = "pruned"},
    [SAP__PRUNED_ACCURACY] = {.name = "pruned_accuracy", .object = "pruned_model", .key = "test_accuracy", .share = 1},
    [SAP__PRUNED_PQI] = {.name = "pruned_pqi", .object = "pruned_model", .key = "pqi", .share = 1},
    [SAP__ACCURACY_DIFFERENCE] = {.name = "accuracy_difference", .of = {SAP__ACCURACY, SAP__PRUNED_ACCURACY}},
    [SAP__PQI_DIFFERENCE] = {.name = "pqi_difference", .of = {SAP__PQI, SAP__PRUNED_PQI}},
};
