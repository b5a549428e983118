/* Random numbers by counter: a stream is named by what it is for, so nothing of it needs saving.
 *
 * splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
 */
#ifndef SAP_BASE_RANDOM_H
#define SAP_BASE_RANDOM_H

#include <stdint.h>

typedef struct sap__random {
  uint64_t state;
} sap__random;

static inline uint64_t sap__random_next(sap__random *random) {
  uint64_t z = random->state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* The stream of (seed, purpose, a, b); different arguments give unrelated streams. */
static inline sap__random sap__random_stream(uint64_t seed, uint64_t purpose, uint64_t a, uint64_t b) {
  const uint64_t parts[] = {purpose, a, b};
  sap__random random = {seed};
  for (int i = 0; i < 3; i++) random.state = sap__random_next(&random) ^ (parts[i] + 1) * 0xd6e8feb86659fd93u;
  return random;
}

/* Uniform in [0, 1), multiples of 2^-53. */
static inline double sap__random_unit(sap__random *random) {
  return (double)(sap__random_next(random) >> 11) * 0x1p-53;
}

/* Uniform in [0, n), n >= 1: the high half of a product, biased by less than n / 2^32. */
static inline uint32_t sap__random_below(sap__random *random, uint32_t n) {
  return (uint32_t)((sap__random_next(random) >> 32) * n >> 32);
}

#endif
