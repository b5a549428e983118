/* A barrier for the threads of one team, for many short waits: it spins for about a microsecond and then lets others
 * run, so that a thread which lost its processor is not waited for at the cost of a whole time slice. */
#ifndef SAP_BASE_BARRIER_H
#define SAP_BASE_BARRIER_H

/* Zero before the first use; any number of teams of any size can use it one after the other. */
typedef struct sap__barrier {
  _Alignas(64) int waiting; /* threads that have come */
  _Alignas(64) int round;   /* barriers that are done */
} sap__barrier;

/* Returns once all `size` threads of the team have called it. What they wrote before is seen after. */
void sap__barrier_wait(sap__barrier *barrier, int size);

#endif
