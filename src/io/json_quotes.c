#include "io/json_quotes.h"

#include <stdint.h>

#include "sapwood/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { STEP = 64 };

__attribute__((target("avx512f,avx512bw,avx512vbmi2"))) static char *copy(char **at, char *to, const char *end) {
  const __m512i backslash = _mm512_set1_epi8('\\'), quote = _mm512_set1_epi8('"'), space = _mm512_set1_epi8(' ');
  char *from = *at;
  uint64_t cut = 0; /* the byte before is a backslash */
  while (end - from >= STEP) {
    const __m512i text = _mm512_loadu_si512(from);
    const uint64_t backslashes = _mm512_cmpeq_epi8_mask(text, backslash), quotes = _mm512_cmpeq_epi8_mask(text, quote);
    /* As signed numbers, bytes beyond ASCII are below the space too. */
    if (_mm512_cmplt_epi8_mask(text, space) || quotes != (backslashes << 1 | cut)) break;
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi8(~backslashes, text));
    to += STEP - __builtin_popcountll(backslashes);
    from += STEP;
    cut = backslashes >> (STEP - 1);
  }
  if (cut) *--from = '\\'; /* the copy may have gone over it */
  *at = from;
  return to;
}

char *sap__json_quotes(char **at, char *to, const char *end) {
  return sap_cpu_active() == SAP_CPU_AVX512 && __builtin_cpu_supports("avx512vbmi2") ? copy(at, to, end) : to;
}

#else

char *sap__json_quotes(char **at, char *to, const char *end) {
  (void)at;
  (void)end;
  return to;
}

#endif
