/* A child process that runs one command of this program.
 *
 * Its standard input is a pipe that only this process can write to. Closing it asks the child to stop (--until-eof),
 * and so does the end of this process, however it comes. The child is in a process group of its own, so that Ctrl-C
 * reaches it in that one way only. Its standard output is dropped; of its standard error the last line is kept, or the
 * last that is an error ("sapwood COMMAND: …"), since a hint may follow it.
 */
#ifndef CLI_JOBS_H
#define CLI_JOBS_H

#include <sys/types.h>

#include "words.h"

enum { JOB_LINE_SIZE = 512 };

typedef struct job {
  pid_t pid;
  int leash;  /* write end of its standard input; -1: closed */
  int errors; /* read end of its standard error */
  size_t used;
  char line[JOB_LINE_SIZE]; /* the line that it is writing */
  char last[JOB_LINE_SIZE]; /* the whole line that is kept; "": none yet */
} job;

/* Starts this program with the words. 0, or an errno. */
int job_start(job *j, const words *w);

/* Asks it to stop as Ctrl-C would. */
void job_stop(job *j);

/* Takes what it wrote to standard error, without waiting. */
void job_read(job *j);

/* 1 if it has ended: *status as waitpid has it, and the job is closed. Does not wait. */
int job_ended(job *j, int *status);

/* Becomes this program with the words, in place of the running process. Returns an errno if that fails. */
int job_become(const words *w);

#endif
