// Pairs of bfloat16, each in the place of a float: what a processor that multiplies them takes at once.
#pragma once

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "vector.h"

namespace regard::REGARD_ISA {

#if defined(__AVX512BF16__) || defined(REGARD_EMULATE_AVX512)
constexpr bool PAIRS = true;
#else
constexpr bool PAIRS = false;
#endif

// The first of a pair lies in the low half of its bits.
inline Vector first_of(Vector pairs) { return of_bits(bits_of(pairs) << 16); }
inline Vector second_of(Vector pairs) { return of_bits(bits_of(pairs) & 0xFFFF0000u); }

inline Vector splat_pair(const float* pair) {
  std::uint32_t bits;
  std::memcpy(&bits, pair, sizeof bits);
  return of_bits(Unsigned{} + bits);
}

// sum + the products of the firsts + the products of the seconds
inline Vector add_products(Vector sum, Vector a, Vector b) {
#if defined(__AVX512BF16__)
  return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
  return sum + first_of(a) * first_of(b) + second_of(a) * second_of(b);
#endif
}

// The nearest bfloat16s, in the high halves of the bits.
inline Unsigned rounded(Vector x) {
  const Unsigned bits = bits_of(x);
  return (bits + 0x7FFFu + ((bits >> 16) & 1u)) & 0xFFFF0000u;
}

// A row times `scale` as pairs of neighbours; `count` is even.
REGARD_APART void narrow(const float* row, Index count, float scale, float* pairs) {
  for (Index k = 0; k < count; k += 2) {
    std::uint32_t bits[2];
    for (int i = 0; i < 2; ++i) {
      bits[i] = bits_of(row[k + i] * scale);
      bits[i] += 0x7FFFu + ((bits[i] >> 16) & 1u);
    }
    const std::uint32_t pair = bits[0] >> 16 | (bits[1] & 0xFFFF0000u);
    std::memcpy(pairs + k / 2, &pair, sizeof pair);
  }
}

// Two rows as pairs of what stands in the same column.
REGARD_APART void pair_up(const float* first, const float* second, Index count, float* pairs) {
  for (Index k = 0; k < count; k += LANES)
    store(pairs + k, of_bits(rounded(load(first + k)) >> 16 | rounded(load(second + k))));
}

}  // namespace regard::REGARD_ISA
