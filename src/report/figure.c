#include "report/figure.h"

const sap__figure sap__figures[] = {
    {"tradeoff", "Accuracy against density", "What each weight that stays buys; further right, fewer are kept.",
     SAP__ACCURACY, 1, 0, "accuracy, %", 100, "%"},
    {"accuracy", "Accuracy", "Of the retrained model, on the test set.", SAP__ACCURACY, 0, 0, "accuracy, %", 100, "%"},
    {"density", "Density", "Weights kept while the iteration trained.", SAP__DENSITY, 0, 1, "weights kept, %", 100,
     "%"},
    {"pqi", "PQ Index", "Of the retrained model's kept weights as one vector.", SAP__PQI, 0, 0, "PQ Index", 1, ""},
    {"gini", "Gini index", "Of the retrained model's kept weights as one vector.", SAP__GINI, 0, 0, "Gini index", 1,
     ""},
    {"pruned-accuracy", "Accuracy of the pruned model", "Right after pruning, not yet retrained.", SAP__PRUNED_ACCURACY,
     0, 0, "accuracy, %", 100, "%"},
    {"pruned-pqi", "PQ Index of the pruned model", "Of what is kept right after pruning.", SAP__PRUNED_PQI, 0, 0,
     "PQ Index", 1, ""},
    {"accuracy-difference", "Accuracy lost by pruning", "Retrained model less pruned model, before retraining.",
     SAP__ACCURACY_DIFFERENCE, 0, 0, "points", 100, "points"},
    {"pqi-difference", "PQ Index lost by pruning", "Retrained model less pruned model.", SAP__PQI_DIFFERENCE, 0, 0,
     "PQ Index", 1, ""},
};
const size_t sap__figure_count = sizeof sap__figures / sizeof *sap__figures;
