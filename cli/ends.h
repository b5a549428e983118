/* What ends a command between two of its steps: a signal, or a file that another process shortens while it is mapped.
 */
#ifndef CLI_ENDS_H
#define CLI_ENDS_H

/* From now on, reading a mapped file past its new end, or where its disk fails, ends the program with exit status 1
 * and one line that names `command` and `path`, instead of a signal; Ctrl-C and SIGTERM, unless they are ignored, end
 * it with 130 and one line. Unfinished outputs are removed. Both texts stay the caller's. Call it before the library
 * starts threads, which inherit that the signals are blocked; and not where the training engine computes: a handler's
 * frame needs the stack that it may have lent to others. */
void ends_watch(const char *title, const char *path);

#endif
