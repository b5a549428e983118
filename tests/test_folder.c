/* Folders are written whole or not at all, whoever ends the process and whenever. */
#define _GNU_SOURCE /* gethostname, kill */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc_fault.h"
#include "io/atomic.h"
#include "outputs.h"
#include "sapwood/checkpoint.h"
#include "scratch.h"
#include "unit.h"

/* A new folder in the scratch folder, and the place "out" in it. */
static const char *fresh(const char *name, char place[512]) {
  const char *folder = fresh_folder(name);
  snprintf(place, 512, "%s/out", folder);
  return folder;
}

/* 1 if files have names before all of them are whole. */
static size_t seen_early(const char *folder) {
  char place[512];
  snprintf(place, sizeof place, "%s/probe", folder);
  sap__folder probe;
  sap__atomic file;
  assert_int_equal(sap__folder_open(&probe, place, NULL), SAP_OK);
  assert_int_equal(sap__folder_create(&probe, "a", &file, NULL), SAP_OK);
  const size_t seen = !file.unnamed;
  sap__atomic_abort(&file);
  sap__folder_abort(&probe);
  if (sap__atomic_always_named) assert_int_equal(seen, 1);
  return seen;
}

static sap_status add(sap__folder *folder, const char *name, const char *text, sap_error *err) {
  sap__atomic file;
  sap_status status = sap__folder_create(folder, name, &file, err);
  if (!status) status = sap__atomic_write(&file, text, strlen(text), err);
  if (!status) status = sap__folder_keep(folder, &file, err);
  sap__atomic_abort(&file);
  return status;
}

/* A folder of three files. */
static sap_status write_folder(const char *place, sap_error *err) {
  static const char *const names[] = {"one", "two", "three"};
  sap__folder folder;
  sap_status status = sap__folder_open(&folder, place, err);
  for (int i = 0; i < 3 && !status; i++) status = add(&folder, names[i], names[i], err);
  if (!status) status = sap__folder_commit(&folder, err);
  sap__folder_abort(&folder);
  return status;
}

static void assert_written(const char *place) {
  static const char *const names[] = {"one", "two", "three"};
  assert_int_equal(scratch_entries(place), 3);
  for (int i = 0; i < 3; i++) {
    char path[600];
    size_t size;
    snprintf(path, sizeof path, "%s/%s", place, names[i]);
    char *text = scratch_read(path, &size);
    assert_non_null(text);
    assert_string_equal(text, names[i]);
    free(text);
  }
}

static void test_writes(void **state) {
  (void)state;
  char place[512];
  const char *folder = fresh("writes", place);
  assert_int_equal(write_folder(place, NULL), SAP_OK);
  assert_written(place);
  sap_error err;
  assert_int_equal(write_folder(place, &err), SAP_ERROR_EXISTS);
  assert_written(place);
  assert_int_equal(scratch_entries(folder), 1);
}

static void test_seen_when_whole(void **state) {
  (void)state;
  char place[512];
  const char *folder = fresh("whole", place);
  const size_t early = seen_early(folder);
  sap__folder open_one;
  assert_int_equal(sap__folder_open(&open_one, place, NULL), SAP_OK);
  assert_int_equal(add(&open_one, "one", "one", NULL), SAP_OK);
  assert_int_equal(scratch_entries(folder), early);
  sap__folder_abort(&open_one);
  sap__folder_abort(&open_one);
  assert_int_equal(scratch_entries(folder), 0);
}

/* The place is taken while the files are written. */
static void test_taken_place(void **state) {
  (void)state;
  char place[512], inner[600];
  const char *folder = fresh("taken", place);
  sap__folder open_one;
  sap_error err;
  assert_int_equal(sap__folder_open(&open_one, place, NULL), SAP_OK);
  assert_int_equal(add(&open_one, "one", "one", NULL), SAP_OK);
  assert_int_equal(mkdir(place, 0777), 0);
  snprintf(inner, sizeof inner, "%s/precious", place);
  scratch_write(inner, "old", 3);
  assert_int_equal(sap__folder_commit(&open_one, &err), SAP_ERROR_EXISTS);
  assert_non_null(strstr(err.text, "out: exists already"));
  assert_int_equal(scratch_entries(folder), 1);
  assert_int_equal(scratch_entries(place), 1);
}

/* Calls end() in a process that has written a file of the folder, and half of the next one. */
static int end_in_the_middle(const char *place, void (*end)(void)) {
  const pid_t child = fork();
  if (!child) {
    sap__folder folder;
    sap__atomic file;
    if (sap__folder_open(&folder, place, NULL) || add(&folder, "one", "one", NULL) ||
        sap__folder_create(&folder, "two", &file, NULL) || sap__atomic_write(&file, "half", 4, NULL))
      _exit(1);
    end();
    _exit(2);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  return status;
}

static void kill_self(void) { kill(getpid(), SIGKILL); }

static void test_killed(void **state) {
  (void)state;
  char place[512];
  const char *folder = fresh("killed", place);
  const size_t early = seen_early(folder);
  assert_true(WIFSIGNALED(end_in_the_middle(place, kill_self)));
  assert_int_equal(scratch_entries(folder), early);
  assert_int_equal(write_folder(place, NULL), SAP_OK);
  assert_written(place);
  assert_int_equal(scratch_entries(folder), 1);
}

static void discard(void) {
  sap_outputs_discard();
  _exit(0);
}

static void test_discarded(void **state) {
  (void)state;
  char place[512];
  const char *folder = fresh("discarded", place);
  assert_int_equal(end_in_the_middle(place, discard), 0);
  assert_int_equal(scratch_entries(folder), 0);
}

/* A single file that has a name. */
static void test_discarded_file(void **state) {
  (void)state;
  char place[512];
  const char *folder = fresh("file", place);
  const pid_t child = fork();
  if (!child) {
    sap__atomic file;
    if (sap__atomic_open(&file, place, NULL) || sap__atomic_write(&file, "half", 4, NULL)) _exit(1);
    discard();
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_int_equal(scratch_entries(folder), 0);
}

/* What is not abandoned stays: of a process that lives, of another machine, and what only looks alike. */
static void test_others_stay(void **state) {
  (void)state;
  char place[512], other[512], path[600], host[70] = "", inner[700];
  const char *folder = fresh("others", place);
  assert_int_equal(gethostname(host, 64), 0);
  snprintf(path, sizeof path, "%s/.sapwood-%s-elsewhere-1-0.tmp", folder, "another");
  assert_int_equal(mkdir(path, 0777), 0);
  snprintf(path, sizeof path, "%s/.sapwood-%s-1-0.tmp", folder, host);
  scratch_write(path, "a file", 6);
  snprintf(path, sizeof path, "%s/precious", folder);
  assert_int_equal(mkdir(path, 0777), 0);
  snprintf(inner, sizeof inner, "%s/file", path);
  scratch_write(inner, "old", 3);
  snprintf(path, sizeof path, "%s/.sapwood-%s-1-1.tmp", folder, host);
  assert_int_equal(symlink("precious", path), 0);
  snprintf(other, sizeof other, "%s/other", folder);
  sap__folder living;
  assert_int_equal(sap__folder_open(&living, other, NULL), SAP_OK);
  assert_int_equal(add(&living, "one", "one", NULL), SAP_OK);
  const size_t before = scratch_entries(folder);
  assert_int_equal(write_folder(place, NULL), SAP_OK);
  assert_int_equal(scratch_entries(folder), before + 1);
  assert_int_equal(access(inner, F_OK), 0);
  assert_int_equal(sap__folder_commit(&living, NULL), SAP_OK);
  assert_int_equal(scratch_entries(other), 1);
}

/* More files than may be open at once. */
static void test_many_files(void **state) {
  (void)state;
  enum { FILES = 40 };
  static char names[FILES][8];
  char place[512];
  const char *folder = fresh("many", place);
  struct rlimit old, tight;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
  tight = old;
  tight.rlim_cur = 24;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
  sap__folder open_one;
  assert_int_equal(sap__folder_open(&open_one, place, NULL), SAP_OK);
  for (int i = 0; i < FILES; i++) {
    snprintf(names[i], sizeof names[i], "%d", i);
    assert_int_equal(add(&open_one, names[i], names[i], NULL), SAP_OK);
  }
  assert_int_equal(sap__folder_commit(&open_one, NULL), SAP_OK);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
  assert_int_equal(scratch_entries(place), FILES);
  assert_int_equal(scratch_entries(folder), 1);
}

static void test_failing_allocations(void **state) {
  (void)state;
  char place[512];
  const char *folder = fresh("memory", place);
  long k = 1;
  for (;; k++) {
    const size_t live = fault_live();
    fault_arm(k);
    const sap_status status = write_folder(place, NULL);
    if (!fault_disarm()) {
      assert_int_equal(status, SAP_OK);
      break;
    }
    assert_int_equal(fault_live(), live);
    assert_int_equal(status, SAP_ERROR_MEMORY);
    assert_int_equal(scratch_entries(folder), 0);
  }
  assert_true(k > 5);
  assert_written(place);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_BOTH_WAYS(test_writes),      IN_BOTH_WAYS(test_seen_when_whole), IN_BOTH_WAYS(test_taken_place),
      IN_BOTH_WAYS(test_killed),      IN_BOTH_WAYS(test_discarded),       IN_BOTH_WAYS(test_discarded_file),
      IN_BOTH_WAYS(test_others_stay), IN_BOTH_WAYS(test_many_files),      IN_BOTH_WAYS(test_failing_allocations),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
