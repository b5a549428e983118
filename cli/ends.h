/* Files that another process shortens while they are mapped. */
#ifndef CLI_SHRUNK_H
#define CLI_SHRUNK_H

/* From now on, reading a mapped file past its new end, or where its disk fails, ends the program with exit status 1
 * and one line that names `command` and `path`, instead of a signal. Both stay the caller's. Not while the training
 * engine computes: a handler's frame needs the stack that it may have lent to others. */
void shrunk_watch(const char *title, const char *path);

#endif
