/* Runs a fuzz target over every file of the given folders: the targets as normal tests, without a fuzzer. */
#include <dirent.h>

#include "fuzz.h"

/* Each input in a block of just its size, and cut short at every byte. */
static void replay(const char *path) {
  FILE *file = fopen(path, "rb");
  FUZZ_CHECK(file && !fseek(file, 0, SEEK_END));
  size_t size = (size_t)ftell(file);
  rewind(file);
  uint8_t *bytes = malloc(size + 1);
  FUZZ_CHECK(bytes && fread(bytes, 1, size, file) == size);
  fclose(file);
  for (size_t cut = 0; cut <= size; cut++) {
    uint8_t *exact = malloc(cut ? cut : 1);
    FUZZ_CHECK(exact);
    memcpy(exact, bytes, cut);
    (void)LLVMFuzzerTestOneInput(exact, cut);
    free(exact);
  }
  free(bytes);
}

int main(int count, char **folders) {
  int files = 0;
  for (int i = 1; i < count; i++) {
    DIR *entries = opendir(folders[i]);
    if (!entries) perror(folders[i]);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
      char path[1024];
      if (entry->d_name[0] == '.') continue;
      FUZZ_CHECK(snprintf(path, sizeof path, "%s/%s", folders[i], entry->d_name) < (int)sizeof path);
      replay(path);
      files++;
    }
    if (entries) closedir(entries);
  }
  printf("%d inputs\n", files);
  return files ? 0 : 1;
}
