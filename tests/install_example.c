/* The smallest use of an installed library: the PQ Index of four numbers. */
#include <sapwood/pqi.h>
#include <stdio.h>

int main(void) {
  const float w[4] = {4, 0, 0, 0};
  double index;
  sap_error err;
  if (sap_pq_index(w, 4, 0.5, 1, &index, &err)) return fprintf(stderr, "%s\n", err.text), 1;
  return printf("%.6f\n", index) < 0;
}
