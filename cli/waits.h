/* How threads wait for each other. */
#ifndef CLI_WAITS_H
#define CLI_WAITS_H

/* Lets waiting threads sleep after some tens of microseconds: starts the program anew, once, with
 * GOMP_SPINCOUNT set, which libgomp reads before main and never again. By default its threads spin for
 * milliseconds, and where other work or a hypervisor takes a core away, training becomes up to twenty times
 * slower. Nothing happens when OMP_WAIT_POLICY or GOMP_SPINCOUNT is already set. */
void waits_sleep_soon(char **arguments);

#endif
