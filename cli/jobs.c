#define _POSIX_C_SOURCE 200809L
#include "jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* This very program, also when its file was replaced since; elsewhere than on Linux the one that PATH finds. */
static const char *own_path(void) { return access("/proc/self/exe", X_OK) == 0 ? "/proc/self/exe" : "sapwood"; }

static void make_vector(const words *w, char *vector[WORDS_MAX + 2]) {
  static char name[] = "sapwood";
  vector[0] = name;
  memcpy(vector + 1, w->items, (w->count + 1) * sizeof *vector);
}

/* A pipe whose ends no child inherits unless it is told to. */
static int open_pipe(int ends[2]) {
  if (pipe(ends) != 0) return errno;
  for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFD, FD_CLOEXEC);
  return 0;
}

/* Signals: as a process has them that no one watches; this one may have blocked those that it waits for. */
static int set_attributes(posix_spawnattr_t *attributes) {
  sigset_t none;
  sigemptyset(&none);
  int error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  if (!error) error = posix_spawnattr_setpgroup(attributes, 0);
  return error ? error : posix_spawnattr_setsigmask(attributes, &none);
}

static int set_streams(posix_spawn_file_actions_t *actions, int input, int errors) {
  int error = posix_spawn_file_actions_adddup2(actions, input, STDIN_FILENO);
  if (!error) error = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  return error ? error : posix_spawn_file_actions_adddup2(actions, errors, STDERR_FILENO);
}

static int spawn(job *j, const words *w, int input, int errors) {
  char *vector[WORDS_MAX + 2];
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  make_vector(w, vector);
  int error = posix_spawnattr_init(&attributes);
  if (error) return error;
  error = posix_spawn_file_actions_init(&actions);
  if (!error) {
    error = set_attributes(&attributes);
    if (!error) error = set_streams(&actions, input, errors);
    if (!error) error = posix_spawnp(&j->pid, own_path(), &actions, &attributes, vector, environ);
    posix_spawn_file_actions_destroy(&actions);
  }
  posix_spawnattr_destroy(&attributes);
  return error;
}

int job_start(job *j, const words *w) {
  int input[2], errors[2];
  int error = open_pipe(input);
  if (error) return error;
  error = open_pipe(errors);
  if (error) {
    close(input[0]), close(input[1]);
    return error;
  }
  *j = (job){.leash = input[1], .errors = errors[0]};
  fcntl(j->errors, F_SETFL, O_NONBLOCK);
  error = spawn(j, w, input[0], errors[1]);
  close(input[0]), close(errors[1]);
  if (error) close(input[1]), close(errors[0]);
  return error;
}

void job_stop(job *j) {
  if (j->leash >= 0) close(j->leash);
  j->leash = -1;
}

static int is_error(const char *line) { return strncmp(line, "sapwood", strlen("sapwood")) == 0; }

static void end_line(job *j) {
  j->line[j->used] = 0;
  j->used = 0;
  if (is_error(j->line) || !is_error(j->last)) strcpy(j->last, j->line);
}

void job_read(job *j) {
  char bytes[512];
  ssize_t size;
  while ((size = read(j->errors, bytes, sizeof bytes)) > 0)
    for (ssize_t i = 0; i < size; i++) {
      if (bytes[i] == '\n')
        end_line(j);
      else if (j->used < JOB_LINE_SIZE - 1)
        j->line[j->used++] = bytes[i];
    }
}

int job_ended(job *j, int *status) {
  if (waitpid(j->pid, status, WNOHANG) != j->pid) return 0;
  job_read(j);
  job_stop(j);
  close(j->errors);
  return 1;
}

int job_become(const words *w) {
  char *vector[WORDS_MAX + 2];
  make_vector(w, vector);
  execvp(own_path(), vector);
  return errno;
}
