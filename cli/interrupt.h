/* Ctrl-C and SIGTERM: the first asks for a stop, the second kills. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

/* From now on. Call it before the library starts threads: they inherit that the signals are blocked. */
void interrupt_watch(void);

/* 1 once a signal has come. */
int interrupt_requested(void);

#endif
