/* Whole-file writing: the place holds the old content or the new, whatever fails and wherever. */
#define _GNU_SOURCE /* mount, mkfifo, kill */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc_fault.h"
#include "base/memory.h"
#include "io/atomic.h"
#include "io/file.h"
#include "outputs.h"
#include "scratch.h"
#include "unit.h"

static const char before[] = "the old content";

/* Files to be seen in the folder while one is being written: none where it has no name before its commit. */
static size_t half_written(const char *folder) {
  char path[512];
  snprintf(path, sizeof path, "%s/probe", folder);
  sap__atomic file;
  assert_int_equal(sap__atomic_open(&file, path, NULL), SAP_OK);
  const size_t seen = !file.unnamed;
  if (sap__atomic_always_named) assert_int_equal(seen, 1);
  sap__atomic_abort(&file);
  return seen;
}

static const char *inside(const char *folder, const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void assert_content(const char *path, const char *text, size_t size) {
  size_t found;
  char *bytes = scratch_read(path, &found);
  assert_non_null(bytes);
  assert_int_equal(found, size);
  assert_memory_equal(bytes, text, size);
  free(bytes);
}

static void test_writes_and_replaces(void **state) {
  (void)state;
  const char *folder = fresh_folder("plain"), *path = inside(folder, "a");
  sap_error err;
  assert_int_equal(sap__file_write(path, before, sizeof before, &err), SAP_OK);
  assert_content(path, before, sizeof before);
  assert_int_equal(chmod(path, 0640), 0);
  assert_int_equal(sap__file_write(path, "", 0, &err), SAP_OK);
  assert_content(path, "", 0);
  struct stat status;
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 07777, 0640); /* of the file it replaced */
  assert_int_equal(scratch_entries(folder), 1);
}

static void test_relative_path(void **state) {
  (void)state;
  char *home = getcwd(NULL, 0);
  assert_int_equal(chdir(fresh_folder("relative")), 0);
  assert_int_equal(sap__file_write("bare", before, sizeof before, NULL), SAP_OK);
  assert_content("bare", before, sizeof before);
  assert_int_equal(scratch_entries("."), 1);
  assert_int_equal(chdir(home), 0);
  free(home);
}

static void test_follows_symbolic_link(void **state) {
  (void)state;
  const char *folder = fresh_folder("links");
  char link[512];
  snprintf(link, sizeof link, "%s", inside(folder, "link"));
  assert_int_equal(symlink("real", link), 0);
  scratch_write(inside(folder, "real"), before, sizeof before);
  assert_int_equal(sap__file_write(link, "new", 3, NULL), SAP_OK);
  assert_content(inside(folder, "real"), "new", 3);
  struct stat status;
  assert_int_equal(lstat(link, &status), 0);
  assert_true(S_ISLNK(status.st_mode));
  assert_int_equal(scratch_entries(folder), 2);
}

static void test_refuses_places(void **state) {
  (void)state;
  const char *folder = fresh_folder("pieces");
  scratch_write(inside(folder, "file"), before, sizeof before);
  char below_file[512], nowhere[512], pipe[512];
  snprintf(below_file, sizeof below_file, "%s/file/x", folder);
  snprintf(nowhere, sizeof nowhere, "%s/none/x", folder);
  snprintf(pipe, sizeof pipe, "%s/pipe", folder);
  assert_int_equal(mkfifo(pipe, 0600), 0);
  const struct {
    const char *path, *reason;
  } places[] = {
      {below_file, "folder to write into does not exist"},
      {nowhere, "folder to write into does not exist"},
      {folder, "a folder, expected"},
      {pipe, "a pipe or device, expected"},
      {"/dev/null", "a pipe or device, expected"}, /* renaming over it would harm the whole system */
      {"", "does not exist"},
  };
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    sap_error err;
    assert_int_equal(sap__file_write(places[i].path, "x", 1, &err), SAP_ERROR_IO);
    assert_int_equal(err.code, SAP_ERROR_IO);
    if (!strstr(err.text, places[i].reason) || !strstr(err.text, places[i].path)) fail_msg("text: %s", err.text);
  }
  assert_content(inside(folder, "file"), before, sizeof before);
  assert_int_equal(scratch_entries(folder), 2);
}

static void test_long_path_keeps_the_reason(void **state) {
  (void)state;
  char path[600] = "/nowhere/";
  memset(path + 9, 'n', 200);
  strcpy(path + 209, "/the-end");
  sap_error err;
  assert_int_equal(sap__file_write(path, "x", 1, &err), SAP_ERROR_IO);
  assert_non_null(strstr(err.text, "/the-end: the folder to write into does not exist"));
}

/* Leftovers of a killed process with this one's id: as happens in containers, where ids repeat. */
static void test_stale_temporaries(void **state) {
  (void)state;
  const char *folder = fresh_folder("stale");
  for (int i = 0; i < 20; i++) {
    char name[64];
    snprintf(name, sizeof name, ".sapwood-%ld-%d.tmp", (long)getpid(), i);
    scratch_write(inside(folder, name), "stale", 5);
  }
  assert_int_equal(sap__file_write(inside(folder, "a"), before, sizeof before, NULL), SAP_OK);
  assert_content(inside(folder, "a"), before, sizeof before);
  assert_int_equal(scratch_entries(folder), 21);
}

/* Pieces in any order, between such as follow each other. */
static void test_places(void **state) {
  (void)state;
  const char *folder = fresh_folder("any-order");
  char path[512];
  snprintf(path, sizeof path, "%s", inside(folder, "a"));
  sap__atomic file;
  assert_int_equal(sap__atomic_open(&file, path, NULL), SAP_OK);
  assert_int_equal(sap__atomic_write(&file, "ab", 2, NULL), SAP_OK);
  assert_int_equal(sap__atomic_write_at(&file, 4, "ef", 2, NULL), SAP_OK);
  assert_int_equal(sap__atomic_write_at(&file, 2, "cd", 2, NULL), SAP_OK);
  assert_int_equal(file.written, 2);
  file.written += 4;
  assert_int_equal(sap__atomic_write(&file, "gh", 2, NULL), SAP_OK);
  assert_int_equal(sap__atomic_commit(&file, NULL), SAP_OK);
  assert_content(path, "abcdefgh", 8);
}

static void test_two_at_once(void **state) {
  (void)state;
  const char *folder = fresh_folder("two");
  char path[512];
  snprintf(path, sizeof path, "%s", inside(folder, "a"));
  sap__atomic one, two;
  assert_int_equal(sap__atomic_open(&one, path, NULL), SAP_OK);
  assert_int_equal(sap__atomic_open(&two, path, NULL), SAP_OK);
  assert_int_equal(sap__atomic_write(&one, "1", 1, NULL), SAP_OK);
  assert_int_equal(sap__atomic_write(&two, "22", 2, NULL), SAP_OK);
  assert_int_equal(sap__atomic_commit(&one, NULL), SAP_OK);
  assert_content(path, "1", 1);
  assert_int_equal(sap__atomic_commit(&two, NULL), SAP_OK);
  assert_content(path, "22", 2);
  sap__atomic_abort(&one);
  sap__atomic_abort(&two);
  assert_int_equal(scratch_entries(folder), 1);
}

static void test_abort(void **state) {
  (void)state;
  const char *folder = fresh_folder("abort");
  char path[512];
  snprintf(path, sizeof path, "%s", inside(folder, "a"));
  scratch_write(path, before, sizeof before);
  sap__atomic file;
  assert_int_equal(sap__atomic_open(&file, path, NULL), SAP_OK);
  assert_int_equal(sap__atomic_write(&file, "half", 4, NULL), SAP_OK);
  assert_int_equal(scratch_entries(folder), 1 + half_written(folder));
  sap__atomic_abort(&file);
  sap__atomic_abort(&file);
  assert_content(path, before, sizeof before);
  assert_int_equal(scratch_entries(folder), 1);
}

/* The last step fails: a folder has taken the place meanwhile. */
static void test_failing_rename(void **state) {
  (void)state;
  const char *folder = fresh_folder("rename");
  char path[512];
  snprintf(path, sizeof path, "%s", inside(folder, "a"));
  sap__atomic file;
  sap_error err;
  assert_int_equal(sap__atomic_open(&file, path, NULL), SAP_OK);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_int_equal(sap__atomic_commit(&file, &err), SAP_ERROR_IO);
  assert_non_null(strstr(err.text, "a: is a directory"));
  assert_int_equal(scratch_entries(folder), 1);
}

/* Of a new file nothing is left, and one that another process put there meanwhile is replaced. */
static void test_new_place(void **state) {
  (void)state;
  const char *folder = fresh_folder("new");
  char path[512];
  snprintf(path, sizeof path, "%s", inside(folder, "a"));
  sap__atomic file;
  assert_int_equal(sap__atomic_open(&file, path, NULL), SAP_OK);
  assert_int_equal(scratch_entries(folder), half_written(folder));
  scratch_write(path, before, sizeof before);
  assert_int_equal(sap__atomic_write(&file, "new", 3, NULL), SAP_OK);
  assert_int_equal(sap__atomic_commit(&file, NULL), SAP_OK);
  assert_content(path, "new", 3);
  assert_int_equal(scratch_entries(folder), 1);
}

static void test_killed_writer(void **state) {
  (void)state;
  const char *folder = fresh_folder("killed");
  char path[512];
  snprintf(path, sizeof path, "%s", inside(folder, "a"));
  scratch_write(path, before, sizeof before);
  pid_t child = fork();
  if (!child) {
    sap__atomic file;
    if (sap__atomic_open(&file, path, NULL) || sap__atomic_write(&file, "half", 4, NULL)) _exit(1);
    kill(getpid(), SIGKILL);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  assert_content(path, before, sizeof before);
  assert_int_equal(scratch_entries(folder), 1 + half_written(folder));
  assert_int_equal(sap__file_write(path, "new", 3, NULL), SAP_OK);
  assert_content(path, "new", 3);
}

/* Writes 1 MiB over an old file where it does not fit. */
static void assert_does_not_fit(const char *folder, const char *reason) {
  static char big[1 << 20];
  char path[512];
  snprintf(path, sizeof path, "%s", inside(folder, "a"));
  sap_error err;
  assert_int_equal(sap__file_write(path, big, sizeof big, &err), SAP_ERROR_IO);
  assert_non_null(strstr(err.text, path));
  if (!strstr(err.text, reason)) fail_msg("text: %s", err.text);
  assert_content(path, before, sizeof before);
  assert_int_equal(scratch_entries(folder), 1);
}

static void test_file_size_limit(void **state) {
  (void)state;
  const char *folder = fresh_folder("limit");
  scratch_write(inside(folder, "a"), before, sizeof before);
  struct rlimit old, tight;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  tight = old;
  tight.rlim_cur = 100000; /* the first write() is cut short, the next one fails */
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
  assert_does_not_fit(folder, ": file too large");
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
}

static void test_full_disk(void **state) {
  (void)state;
  const char *folder = fresh_folder("full");
  if (mount("tmpfs", folder, "tmpfs", 0, "size=256k")) {
    print_message("skipped: a small file system cannot be mounted here: %s\n", strerror(errno));
    skip();
  }
  scratch_write(inside(folder, "a"), before, sizeof before);
  assert_does_not_fit(folder, ": no space left on device");
  assert_int_equal(umount(folder), 0);
}

static void test_read(void **state) {
  (void)state;
  const char *path = scratch_path("read");
  scratch_write(path, before, sizeof before - 1);
  char *text;
  size_t size;
  sap_error err;
  assert_int_equal(sap__file_read(path, sizeof before - 1, &text, &size, &err), SAP_OK);
  assert_int_equal(size, sizeof before - 1);
  assert_string_equal(text, before);
  sap__free(text);
  assert_int_equal(sap__file_read(path, sizeof before - 2, &text, &size, &err), SAP_ERROR_FORMAT);
  assert_non_null(strstr(err.text, "read: 15 bytes, expected at most 14"));
  assert_int_equal(sap__file_read(scratch_path("none"), 10, &text, &size, &err), SAP_ERROR_NOT_FOUND);
  assert_non_null(strstr(err.text, "none: no such file or directory"));
  assert_int_equal(sap__file_read(scratch_folder, 10, &text, &size, &err), SAP_ERROR_IO);
  assert_int_equal(sap__file_read("/dev/zero", 10, &text, &size, &err), SAP_ERROR_IO);
  const char *pipe = scratch_path("pipe");
  assert_int_equal(mkfifo(pipe, 0600), 0);
  assert_int_equal(sap__file_read(pipe, 10, &text, &size, &err), SAP_ERROR_IO); /* and does not block */
  scratch_write(path, "", 0);
  assert_int_equal(sap__file_read(path, 0, &text, &size, NULL), SAP_OK);
  assert_int_equal(size, 0);
  assert_string_equal(text, "");
  sap__free(text);
}

static void test_failing_allocations(void **state) {
  (void)state;
  const char *folder = fresh_folder("memory");
  char path[512];
  snprintf(path, sizeof path, "%s", inside(folder, "a"));
  scratch_write(path, before, sizeof before);
  long k = 1;
  for (;; k++) {
    size_t live = fault_live();
    fault_arm(k);
    sap_status status = sap__file_write(path, "new", 3, NULL);
    if (!fault_disarm()) {
      assert_int_equal(status, SAP_OK);
      break;
    }
    assert_int_equal(fault_live(), live);
    if (!status) continue; /* the flush of the folder, after the rename, is only tried */
    assert_int_equal(status, SAP_ERROR_MEMORY);
    assert_content(path, before, sizeof before);
    assert_int_equal(scratch_entries(folder), 1);
  }
  assert_true(k > 2);
  assert_content(path, "new", 3);
  char *text;
  size_t size;
  fault_arm(1);
  assert_int_equal(sap__file_read(path, 10, &text, &size, NULL), SAP_ERROR_MEMORY);
  assert_true(fault_disarm());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_BOTH_WAYS(test_writes_and_replaces),
      IN_BOTH_WAYS(test_relative_path),
      IN_BOTH_WAYS(test_follows_symbolic_link),
      IN_BOTH_WAYS(test_refuses_places),
      cmocka_unit_test(test_long_path_keeps_the_reason),
      IN_BOTH_WAYS(test_stale_temporaries),
      IN_BOTH_WAYS(test_places),
      IN_BOTH_WAYS(test_two_at_once),
      IN_BOTH_WAYS(test_abort),
      IN_BOTH_WAYS(test_failing_rename),
      IN_BOTH_WAYS(test_new_place),
      IN_BOTH_WAYS(test_killed_writer),
      IN_BOTH_WAYS(test_file_size_limit),
      IN_BOTH_WAYS(test_full_disk),
      cmocka_unit_test(test_read),
      IN_BOTH_WAYS(test_failing_allocations),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
