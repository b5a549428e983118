/* The processor's own name. */
#ifndef SAP_BASE_CPU_H
#define SAP_BASE_CPU_H

#include <stddef.h>

/* "Intel(R) Xeon(R) Processor 6/173/1": what the processor calls itself, with family, model and stepping; elsewhere
 * than on x86-64 the name of the architecture. */
void sap__cpu_brand(char *text, size_t size);

#endif
