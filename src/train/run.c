#include "train/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "train/config.h"

#define CONFIG "config.json"
#define METRICS "metrics.jsonl"

/* Calls visit for every entry but "." and ".."; returns how many there are, -1 on an error. */
static int each_entry(const char *path, void (*visit)(int directory, const char *name)) {
  DIR *folder = opendir(path);
  if (!folder) return -1;
  int count = 0;
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if (visit) visit(dirfd(folder), entry->d_name);
    count++;
  }
  closedir(folder);
  return count;
}

static void remove_temporary(int directory, const char *name) {
  if (!strncmp(name, ".sapwood-", 9)) unlinkat(directory, name, 0);
}

/* A run that holds nothing yet but its path. */
static sap_status name(sap__run *run, const char *path, sap_error *err) {
  *run = (sap__run){.directory = -1, .metrics = -1, .path = sap__strdup(path)};
  return run->path ? SAP_OK : sap__fail_memory(err, strlen(path));
}

/* Opens and locks the directory. */
static sap_status hold(sap__run *run, sap_error *err) {
  const char *path = run->path;
  run->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (run->directory < 0) return sap__fail_system(err, path, errno);
  if (flock(run->directory, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
    return sap__fail(err, SAP_ERROR_EXISTS, "%s: another process is using this run", sap__path_tail(path));
  return SAP_OK;
}

static sap_status metrics_error(const sap__run *run, int number, sap_error *err) {
  char path[SAP_TEXT_SIZE];
  sap__run_file(run->path, METRICS, path, sizeof path);
  return sap__fail_system(err, path, number);
}

static sap_status open_metrics(sap__run *run, int flags, sap_error *err) {
  run->metrics = openat(run->directory, METRICS, O_WRONLY | O_CLOEXEC | flags, 0666);
  return run->metrics >= 0 ? SAP_OK : metrics_error(run, errno, err);
}

sap_status sap__run_create(sap__run *run, const char *path, const sap_experiment *experiment, sap_error *err) {
  sap_status status = name(run, path, err);
  if (status) return status;
  if (!mkdir(path, 0777))
    run->made_directory = 1;
  else if (errno != EEXIST)
    return sap__fail_system(err, path, errno);
  status = hold(run, err);
  if (status) return status;
  each_entry(path, remove_temporary); /* of a process killed right here */
  if (each_entry(path, NULL) > 0)
    return sap__fail(err, SAP_ERROR_EXISTS, "%s: not empty; --resume continues a run", sap__path_tail(path));
  run->created = 1;
  char config[SAP_TEXT_SIZE];
  sap__run_file(path, CONFIG, config, sizeof config);
  status = sap__config_write(config, experiment, err);
  return status ? status : open_metrics(run, O_CREAT | O_EXCL, err);
}

sap_status sap__run_resume(sap__run *run, const char *path, const sap_experiment *experiment, sap_error *err) {
  sap_experiment in_run;
  sap_status status = name(run, path, err);
  if (!status) status = sap_experiment_load(path, &in_run, err);
  if (!status) status = sap__config_compare(path, &in_run, experiment, err);
  if (!status) status = hold(run, err);
  if (status) return status;
  each_entry(path, remove_temporary); /* of a killed process */
  status = open_metrics(run, O_CREAT, err);
  if (status) return status;
  struct stat info;
  if (fstat(run->metrics, &info)) return metrics_error(run, errno, err);
  run->metrics_size = (uint64_t)info.st_size;
  return SAP_OK;
}

static void remove_entry(int directory, const char *name) { unlinkat(directory, name, 0); }

void sap__run_discard(sap__run *run) {
  /* A created run was empty before: every file in it is ours. */
  if (run->created) each_entry(run->path, remove_entry);
  if (run->made_directory) rmdir(run->path);
}

void sap__run_close(sap__run *run) {
  if (run->metrics >= 0) close(run->metrics);
  if (run->directory >= 0) close(run->directory);
  sap__free(run->path);
  *run = (sap__run){.directory = -1, .metrics = -1};
}

sap_status sap__run_append(sap__run *run, char *line, sap_error *err) {
  if (!line) return sap__fail(err, SAP_ERROR_MEMORY, "no memory for a line of " METRICS);
  size_t size = strlen(line), written = 0;
  int number = 0;
  while (written < size && !number) {
    ssize_t n = pwrite(run->metrics, line + written, size - written, (off_t)(run->metrics_size + written));
    if (n >= 0)
      written += (size_t)n;
    else if (errno != EINTR)
      number = errno;
  }
  free(line);
  if (number) {
    (void)!ftruncate(run->metrics, (off_t)run->metrics_size);
    return metrics_error(run, number, err);
  }
  run->metrics_size += size;
  return SAP_OK;
}

sap_status sap__run_flush(sap__run *run, sap_error *err) {
  return fdatasync(run->metrics) ? metrics_error(run, errno, err) : SAP_OK;
}

sap_status sap__run_cut(sap__run *run, uint64_t size, sap_error *err) {
  struct stat info;
  if (fstat(run->metrics, &info)) return metrics_error(run, errno, err);
  if ((uint64_t)info.st_size < size)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s/" METRICS ": %lld bytes, expected at least %llu",
                     sap__path_tail(run->path), (long long)info.st_size, (unsigned long long)size);
  if (ftruncate(run->metrics, (off_t)size)) return metrics_error(run, errno, err);
  run->metrics_size = size;
  return SAP_OK;
}

sap_status sap_experiment_load(const char *run, sap_experiment *experiment, sap_error *err) {
  char path[SAP_TEXT_SIZE];
  sap__run_file(run, CONFIG, path, sizeof path);
  sap_error inner = {0};
  sap_status status = sap__config_read(path, experiment, &inner);
  if (status == SAP_ERROR_NOT_FOUND)
    return sap__fail(err, status, "%s: not a run: it has no " CONFIG, sap__path_tail(run));
  return status ? sap__fail(err, status, "%s", inner.text) : SAP_OK;
}
