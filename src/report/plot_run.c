/* gnuplot as a child process. Script, picture and complaints go through files without names: no pipe that could fill
 * up, or end this process with a signal. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/atomic.h"
#include "io/file.h"
#include "report/plot.h"

extern char **environ;

/* What the child has as its standard input, output and error. */
enum { SCRIPT, PICTURE, COMPLAINTS, STREAMS };

static sap_status system_error(sap_error *err, int number) { return sap__fail_system(err, "gnuplot", number); }

static sap_status open_streams(FILE *streams[STREAMS], const sap__text *script, sap_error *err) {
  for (int i = 0; i < STREAMS; i++)
    if (!(streams[i] = tmpfile())) return system_error(err, errno);
  if (fwrite(script->bytes, 1, script->length, streams[SCRIPT]) != script->length || fflush(streams[SCRIPT]))
    return system_error(err, errno);
  rewind(streams[SCRIPT]);
  return SAP_OK;
}

static sap_status start(FILE *const streams[STREAMS], pid_t *child, sap_error *err) {
  static char name[] = "gnuplot", no_start_up_files[] = "-d", from_stdin[] = "-";
  static char *const words[] = {name, no_start_up_files, from_stdin, NULL};
  posix_spawn_file_actions_t actions;
  int number = posix_spawn_file_actions_init(&actions);
  if (number) return system_error(err, number);
  for (int i = 0; i < STREAMS && !number; i++)
    number = posix_spawn_file_actions_adddup2(&actions, fileno(streams[i]), i);
  if (!number) number = posix_spawnp(child, words[0], &actions, NULL, words, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (number == ENOENT)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "gnuplot is not installed (Debian: gnuplot-nox); figures need it");
  return number ? system_error(err, number) : SAP_OK;
}

/* The last line that gnuplot complained with: those before it show where in the script. */
static void last_complaint(FILE *complaints, char *line, size_t size) {
  char read[512];
  rewind(complaints);
  while (fgets(read, sizeof read, complaints)) {
    const size_t blank = strspn(read, " \t\r\n");
    if (read[blank]) snprintf(line, size, "%.*s", (int)strcspn(read + blank, "\r\n"), read + blank);
  }
}

static sap_status wait_for(pid_t child, FILE *complaints, sap_error *err) {
  int status = 0;
  pid_t ended;
  while ((ended = waitpid(child, &status, 0)) < 0 && errno == EINTR) continue;
  if (ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 0) return SAP_OK;
  char line[160] = "";
  last_complaint(complaints, line, sizeof line);
  if (ended == child && WIFSIGNALED(status))
    return sap__fail(err, SAP_ERROR_IO, "gnuplot: ended by signal %d", WTERMSIG(status));
  return sap__fail(err, SAP_ERROR_IO, "gnuplot: %s", *line ? line : "failed");
}

static sap_status write_picture(FILE *picture, const char *path, sap_error *err) {
  const long size = fseek(picture, 0, SEEK_END) ? -1 : ftell(picture);
  if (size < 0) return system_error(err, errno);
  if (size == 0) return sap__fail(err, SAP_ERROR_IO, "gnuplot: drew nothing");
  char *bytes = sap__alloc((size_t)size, 1);
  if (!bytes) return sap__fail_memory(err, (size_t)size);
  rewind(picture);
  sap_status status = fread(bytes, 1, (size_t)size, picture) == (size_t)size
                          ? sap__file_write(path, bytes, (size_t)size, err)
                          : system_error(err, errno);
  sap__free(bytes);
  return status;
}

sap_status sap__plot_run(const sap__text *script, const char *path, sap_error *err) {
  FILE *streams[STREAMS] = {NULL};
  pid_t child = 0;
  sap_status status = open_streams(streams, script, err);
  if (!status) status = start(streams, &child, err);
  if (!status) status = wait_for(child, streams[COMPLAINTS], err);
  if (!status) status = write_picture(streams[PICTURE], path, err);
  for (int i = 0; i < STREAMS; i++)
    if (streams[i]) fclose(streams[i]);
  return status;
}
