#include "report/quantity.h"

#include <stddef.h>

const sap__quantity sap__quantities[SAP__QUANTITY_COUNT] = {
    [SAP__ACCURACY] = {.name = "accuracy", .key = "test_accuracy"},
    [SAP__LOSS] = {.name = "loss", .key = "test_loss"},
    [SAP__DENSITY] = {.name = "density", .key = "density"},
    [SAP__PQI] = {.name = "pqi", .key = "pqi"},
    [SAP__GINI] = {.name = "gini", .key = "gini"},
    [SAP__RETAIN] = {.name = "retain", .key = "retain"},
    [SAP__PRUNE_RATIO] = {.name = "prune_ratio", .key = "prune_ratio"},
    [SAP__PRUNED] = {.name = "pruned", .key = "pruned"},
    [SAP__PRUNED_ACCURACY] = {.name = "pruned_accuracy", .object = "pruned_model", .key = "test_accuracy"},
    [SAP__PRUNED_PQI] = {.name = "pruned_pqi", .object = "pruned_model", .key = "pqi"},
    [SAP__ACCURACY_DIFFERENCE] = {.name = "accuracy_difference", .of = {SAP__ACCURACY, SAP__PRUNED_ACCURACY}},
    [SAP__PQI_DIFFERENCE] = {.name = "pqi_difference", .of = {SAP__PQI, SAP__PRUNED_PQI}},
};
