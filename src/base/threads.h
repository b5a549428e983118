/* Threads: OpenMP where the build has it, one thread elsewhere. */
#ifndef SAP_BASE_THREADS_H
#define SAP_BASE_THREADS_H

/* Splits [0, n) in `parts` near-equal ranges; the start of range `part`. Range `part` ends where the next begins. */
static inline unsigned long long sap__part(unsigned long long n, unsigned part, unsigned parts) {
  return n / parts * part + (n % parts) * part / parts;
}

#endif
