/* What is told about an iteration, as one table: what metrics.jsonl calls it, what people call it. */
#ifndef SAP_REPORT_QUANTITY_H
#define SAP_REPORT_QUANTITY_H

typedef enum sap__quantity_id {
  SAP__ACCURACY,
  SAP__LOSS,
  SAP__TRAIN_LOSS,
  SAP__DENSITY,
  SAP__PQI,
  SAP__SCOPE_PQI,
  SAP__GINI,
  SAP__RETAIN,
  SAP__PRUNE_RATIO,
  SAP__PRUNED,
  SAP__PRUNED_ACCURACY,
  SAP__PRUNED_PQI,
  SAP__ACCURACY_DIFFERENCE,
  SAP__PQI_DIFFERENCE,
  SAP__QUANTITY_COUNT
} sap__quantity_id;

typedef struct sap__quantity {
  const char *name;       /* in tables */
  const char *object;     /* of the iteration line, where its value lies; NULL: the line itself */
  const char *key;        /* of the value; NULL: a difference of two others */
  const char *stand_in;   /* the key of another value of the line where it has none by this one; or NULL */
  int epoch;              /* it lies in the line of the iteration's last epoch instead */
  sap__quantity_id of[2]; /* the difference of[0] − of[1] */
  int share;              /* it lies in [0, 1]: anything else in a file is no value */
} sap__quantity;

/* Indexed by sap__quantity_id; a difference comes after what it is made from. */
extern const sap__quantity sap__quantities[SAP__QUANTITY_COUNT];

#endif
