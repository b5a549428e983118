/* Ctrl-C and SIGTERM: the first asks for a stop, the second kills. The end of standard input can ask, too. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

/* From now on. Call it before the library starts threads: they inherit that the signals are blocked. */
void interrupt_watch(void);

/* From now on the end of standard input asks for a stop, too. After interrupt_watch. */
void interrupt_at_end_of_input(void);

/* 1 once a stop was asked for. */
int interrupt_requested(void);

#endif
