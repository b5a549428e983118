/* Batches: augmentation as its formula says, the same from any number of threads, prepared ahead or not. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_fault.h"
#include "base/random.h"
#include "data/augment.h"
#include "data/loader.h"
#include "data/prefetch.h"
#include "unit.h"

/* ---- a set in memory ---- */

enum { COUNT = 403, CHANNELS = 3, HEIGHT = 9, WIDTH = 37, PICTURE = CHANNELS * HEIGHT * WIDTH, BATCH = 32 };

static uint8_t pixels[COUNT * PICTURE], labels[COUNT];
static float floats[COUNT * PICTURE];

static sap_dataset make_set(int of_floats) {
  sap_dataset set = {.name = "test", .channels = CHANNELS, .height = HEIGHT, .width = WIDTH, .classes = 200};
  sap__random random = sap__random_stream(9, 0, 0, 0);
  for (int i = 0; i < COUNT * PICTURE; i++) {
    pixels[i] = (uint8_t)sap__random_below(&random, 256);
    floats[i] = (float)sap__random_unit(&random);
  }
  for (int i = 0; i < COUNT; i++) labels[i] = (uint8_t)(i % 200);
  for (int c = 0; c < CHANNELS; c++) set.mean[c] = 0.3f + 0.1f * (float)c, set.stddev[c] = 0.2f + 0.05f * (float)c;
  set.train = (sap_split){.count = COUNT, .pixels = of_floats ? NULL : pixels, .floats = of_floats ? floats : NULL};
  set.train.labels = labels;
  return set;
}

static sap__loader make_loader(const sap_dataset *set, int augments) {
  sap__loader loader;
  assert_int_equal(sap__loader_new(set, &set->train, &loader, NULL), SAP_OK);
  loader.augments = augments;
  sap__loader_shuffle(&loader, 5, 2, 3);
  return loader;
}

/* ---- augmentation ---- */

/* Where pixel `at` comes from, by walking step by step from the middle and turning round at the borders. */
static int bounce(int at, int n) {
  int place = 0, step = at < 0 ? -1 : 1;
  for (int walked = 0; walked < abs(at); walked++) {
    if (place + step < 0 || place + step >= n) step = -step;
    place += step;
  }
  return place;
}

static double expected_at(const sap_dataset *set, uint32_t number, const sap__crop *crop, int c, int y, int x) {
  int down = bounce(y + crop->down, HEIGHT), right = bounce((crop->flip ? WIDTH - 1 - x : x) + crop->right, WIDTH);
  size_t at = number * (size_t)PICTURE + (size_t)((c * HEIGHT + down) * WIDTH + right);
  double value = set->train.floats ? (double)floats[at] : pixels[at] / 255.0;
  return (value - (double)set->mean[c]) / (double)set->stddev[c];
}

static void test_fill(void **state) {
  (void)state;
  for (int kind = 0; kind < 4; kind++) {
    sap_dataset set = make_set(kind / 2);
    sap__loader loader = make_loader(&set, kind % 2);
    float *x = malloc(COUNT * PICTURE * sizeof *x);
    uint8_t found[COUNT];
    sap__loader_fill(&loader, 0, COUNT, x, found);
    for (uint32_t i = 0; i < COUNT; i++) {
      uint32_t number = loader.order[i];
      sap__crop crop = {0, 0, 0};
      if (kind % 2) crop = sap__crop_draw(5, 2, 3, number, HEIGHT, WIDTH);
      assert_int_equal(found[i], number % 200);
      for (int c = 0; c < CHANNELS; c++)
        for (int y = 0; y < HEIGHT; y++)
          for (int u = 0; u < WIDTH; u++) {
            double value = (double)x[i * PICTURE + (uint32_t)((c * HEIGHT + y) * WIDTH + u)];
            assert_true(fabs(value - expected_at(&set, number, &crop, c, y, u)) < 1e-5);
          }
    }
    free(x);
    sap__loader_free(&loader);
  }
}

/* Rows are cropped in blocks: of every width, shift and direction, each pixel comes from where it should, and nothing
 * outside of the row is touched (the arrays have just its size). */
static void test_any_width(void **state) {
  (void)state;
  for (int width = 1; width < 70; width++)
    for (uint32_t number = 0; number < 40; number++) {
      sap_dataset set = {.name = "test", .channels = 1, .height = 2, .width = width, .mean = {0}, .stddev = {1}};
      set.train = (sap_split){.count = 1, .labels = labels};
      const sap__crop crop = sap__crop_draw(number, 0, 0, 0, 2, width);
      for (int of_floats = 0; of_floats < 2; of_floats++) {
        size_t element = of_floats ? 4 : 1, size = 2 * (size_t)width * element;
        uint8_t *from = malloc(size), *to = malloc(size), label;
        for (size_t i = 0; i < size; i++) from[i] = (uint8_t)(i * 37 % 251 % 100); /* finite floats, too */
        set.train.pixels = of_floats ? NULL : from;
        set.train.floats = of_floats ? (const float *)(const void *)from : NULL;
        sap__loader loader;
        assert_int_equal(sap__loader_new(&set, &set.train, &loader, NULL), SAP_OK);
        loader.augments = 1;
        loader.seed = number;
        sap__loader_prepare(&loader, 0, 1, to, &label);
        for (int y = 0; y < 2; y++)
          for (int x = 0; x < width; x++) {
            int right = bounce((crop.flip ? width - 1 - x : x) + crop.right, width), down = bounce(y + crop.down, 2);
            assert_memory_equal(to + (size_t)(y * width + x) * element, from + (size_t)(down * width + right) * element,
                                element);
          }
        sap__loader_free(&loader);
        free(from);
        free(to);
      }
    }
}

/* Each of the 9 × 9 shifts and both directions come as often as the others: chi-squared of 161 degrees of freedom. */
static void test_draws_are_even(void **state) {
  (void)state;
  enum { DRAWS = 162 * 400 };
  static int counts[9][9][2];
  for (uint32_t i = 0; i < DRAWS; i++) {
    sap__crop crop = sap__crop_draw(1, 4, 7, i, 32, 32);
    assert_true(abs(crop.down) <= 4 && abs(crop.right) <= 4 && (crop.flip == 0 || crop.flip == 1));
    counts[crop.down + 4][crop.right + 4][crop.flip]++;
  }
  double sum = 0;
  for (int i = 0; i < 162; i++) sum += pow((&counts[0][0][0])[i] - 400.0, 2) / 400;
  assert_true(sum > 95 && sum < 240); /* 1 in 10^5 on either side */
}

/* Another seed, iteration, epoch or picture is another draw. */
static void test_draws_differ(void **state) {
  (void)state;
  int same[4] = {0};
  for (uint32_t i = 0; i < 1000; i++) {
    sap__crop a = sap__crop_draw(i, 1, 1, 1, 32, 32);
    const sap__crop others[4] = {sap__crop_draw(i + 5000, 1, 1, 1, 32, 32), sap__crop_draw(i, 2, 1, 1, 32, 32),
                                 sap__crop_draw(i, 1, 2, 1, 32, 32), sap__crop_draw(i, 1, 1, 2, 32, 32)};
    for (int k = 0; k < 4; k++)
      same[k] += a.down == others[k].down && a.right == others[k].right && a.flip == others[k].flip;
  }
  for (int k = 0; k < 4; k++) assert_true(same[k] < 30); /* 6 expected */
}

static void test_small_pictures(void **state) {
  (void)state;
  for (int side = 1; side < 6; side++)
    for (uint32_t i = 0; i < 200; i++) {
      sap__crop crop = sap__crop_draw(3, 0, 1, i, side, side);
      assert_true(abs(crop.down) < side && abs(crop.right) < side);
      for (int at = 0; at < side; at++) {
        int source = sap__reflect(at + crop.right, side);
        assert_true(source >= 0 && source < side);
      }
    }
}

/* ---- prepared ahead ---- */

/* In two steps or in one: the same bits. */
static void test_two_steps(void **state) {
  (void)state;
  for (int kind = 0; kind < 4; kind++) {
    sap_dataset set = make_set(kind / 2);
    sap__loader loader = make_loader(&set, kind % 2);
    float *x = malloc(COUNT * PICTURE * sizeof *x), *y = malloc(COUNT * PICTURE * sizeof *y);
    uint8_t *elements = malloc(COUNT * PICTURE * sap__loader_element(&loader)), a[COUNT], b[COUNT];
    sap__loader_fill(&loader, 0, COUNT, x, a);
    sap__loader_prepare(&loader, 0, COUNT, elements, b);
    sap__loader_finish(&loader, elements, COUNT, y);
    assert_memory_equal(x, y, COUNT * PICTURE * sizeof *x);
    assert_memory_equal(a, b, COUNT);
    free(x);
    free(y);
    free(elements);
    sap__loader_free(&loader);
  }
}

/* Checks a batch against one prepared here; 1 if it was ready. */
static int check_batch(sap__prefetch *prefetch, const sap__loader *loader, uint32_t step) {
  static uint8_t elements[BATCH * PICTURE], expected[BATCH];
  const uint8_t *found_labels = NULL;
  const void *found = sap__prefetch_take(prefetch, step, &found_labels);
  uint32_t first = step * BATCH, n = COUNT - first < BATCH ? COUNT - first : BATCH;
  if (!found) return 0;
  sap__loader_prepare(loader, first, n, elements, expected);
  assert_memory_equal(found, elements, n * PICTURE);
  assert_memory_equal(found_labels, expected, n);
  return 1;
}

/* Epochs from any step on, steps left out, a reader that is too fast and one that is slow, any number of threads. */
static void test_prefetch(void **state) {
  (void)state;
  enum { STEPS = (COUNT + BATCH - 1) / BATCH };
  sap_dataset set = make_set(0);
  sap__loader loader = make_loader(&set, 1);
  int ready = 0;
  for (int threads = 1; threads <= 5; threads += 2) {
    sap__prefetch *prefetch;
    assert_int_equal(sap__prefetch_new(&loader, BATCH, threads, &prefetch, NULL), SAP_OK);
    for (int epoch = 1; epoch < 40; epoch++) {
      uint32_t step = epoch % 3 ? 0 : (uint32_t)epoch % STEPS;
      sap__prefetch_pause(prefetch);
      sap__loader_shuffle(&loader, 5, 0, epoch);
      sap__prefetch_start(prefetch, step);
      for (; step < STEPS; step += epoch % 4 ? 1 : 2) {
        for (volatile int wait = 0; wait < epoch % 5 * 100000; wait++) continue;
        ready += check_batch(prefetch, &loader, step);
      }
    }
    sap__prefetch_start(prefetch, 0); /* freed at work */
    sap__prefetch_free(prefetch);
  }
  sap__prefetch_free(NULL);
  assert_true(ready > 0);
  sap__loader_free(&loader);
}

/* Training takes no memory. */
static void test_nothing_is_allocated(void **state) {
  (void)state;
  sap_dataset set = make_set(0);
  sap__loader loader = make_loader(&set, 1);
  sap__prefetch *prefetch;
  static float x[BATCH * PICTURE];
  uint8_t found[BATCH];
  assert_int_equal(sap__prefetch_new(&loader, BATCH, 2, &prefetch, NULL), SAP_OK);
  fault_arm(1);
  for (int epoch = 0; epoch < 5; epoch++) {
    sap__prefetch_pause(prefetch);
    sap__loader_shuffle(&loader, 5, 0, epoch);
    sap__prefetch_start(prefetch, 0);
    for (uint32_t step = 0; step < COUNT / BATCH; step++) {
      (void)check_batch(prefetch, &loader, step);
      sap__loader_fill(&loader, step * BATCH, BATCH, x, found);
    }
  }
  assert_false(fault_disarm());
  sap__prefetch_free(prefetch);
  sap__loader_free(&loader);
}

static void test_failing_allocations(void **state) {
  (void)state;
  sap_dataset set = make_set(0);
  sap__loader loader = make_loader(&set, 1);
  for (long k = 1;; k++) {
    size_t live = fault_live();
    sap__prefetch *prefetch = NULL;
    sap_error err;
    fault_arm(k);
    sap_status status = sap__prefetch_new(&loader, BATCH, 2, &prefetch, &err);
    if (!fault_disarm()) {
      assert_int_equal(status, SAP_OK);
      sap__prefetch_free(prefetch);
      assert_true(k > 8);
      break;
    }
    assert_int_equal(status, SAP_ERROR_MEMORY);
    assert_null(prefetch);
    assert_int_equal(fault_live(), live);
  }
  sap__loader_free(&loader);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fill),
      cmocka_unit_test(test_any_width),
      cmocka_unit_test(test_draws_are_even),
      cmocka_unit_test(test_draws_differ),
      cmocka_unit_test(test_small_pictures),
      cmocka_unit_test(test_two_steps),
      cmocka_unit_test(test_prefetch),
      cmocka_unit_test(test_nothing_is_allocated),
      cmocka_unit_test(test_failing_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
