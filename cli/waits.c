#include "waits.h"

#include <stdlib.h>
#include <unistd.h>

void waits_sleep_soon(char **arguments) {
#if defined(__linux__) && defined(_OPENMP)
  if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
  if (setenv("GOMP_SPINCOUNT", "1000", 1) == 0) execv("/proc/self/exe", arguments); /* returns only if it cannot */
#else
  (void)arguments;
#endif
}
