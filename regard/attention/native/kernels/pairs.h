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

// One entry of a matrix, a float or a pair, in every lane.
template <bool pair>
inline Vector entry(const float* from) {
  return pair ? splat_pair(from) : splat(*from);
}

// sum + the products of the firsts + the products of the seconds
inline Vector add_products(Vector sum, Vector a, Vector b) {
#if defined(__AVX512BF16__)
  return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
  return sum + first_of(a) * first_of(b) + second_of(a) * second_of(b);
#endif
}

// Two vectors as pairs of neighbours.
inline Vector neighbours(Vector a, Vector b) {
#if defined(__AVX512BF16__)
  return (Vector)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
#else
  float rows[2 * LANES];
  store(rows, a), store(rows + LANES, b);
  Unsigned bits{};
  for (int i = 0; i < LANES; ++i)
    bits[i] = to_bfloat16(rows[2 * i]) | std::uint32_t(to_bfloat16(rows[2 * i + 1])) << 16;
  return of_bits(bits);
#endif
}

// Two vectors as pairs of what stands in the same lane.
inline Vector lane_by_lane(Vector first, Vector second) {
#if defined(__AVX512BF16__)
  alignas(64) static constexpr std::uint16_t turns[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                          8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return (Vector)_mm512_permutexvar_epi16(_mm512_load_si512(turns), (__m512i)neighbours(first, second));
#else
  Unsigned bits{};
  for (int i = 0; i < LANES; ++i) bits[i] = to_bfloat16(first[i]) | std::uint32_t(to_bfloat16(second[i])) << 16;
  return of_bits(bits);
#endif
}

// 2 * LANES columns of two rows of bfloat16 as pairs of what stands in the same column.
inline void pair_columns(const std::uint16_t* first, const std::uint16_t* second, float* pairs) {
#if defined(__AVX512F__) || defined(REGARD_EMULATE_AVX512)
  typedef std::uint16_t Shorts __attribute__((vector_size(LANES * 4)));
  Shorts a, b;
  std::memcpy(&a, first, sizeof a), std::memcpy(&b, second, sizeof b);
  const Shorts lower = REGARD_SHUFFLE(Shorts, a, b, 0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8, 40, 9,
                                      41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47);
  const Shorts upper = REGARD_SHUFFLE(Shorts, a, b, 16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55, 24,
                                      56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63);
  std::memcpy(pairs, &lower, sizeof lower), std::memcpy(pairs + LANES, &upper, sizeof upper);
#else
  for (int i = 0; i < 2 * LANES; ++i) pairs[i] = float_of(first[i] | std::uint32_t(second[i]) << 16);
#endif
}

// Columns [from, to) of a row, and those beside them up to whole vectors of pairs, as pairs of neighbours.
REGARD_NOINLINE void narrow(const float* row, Index from, Index to, float* pairs) {
  for (Index k = from / (2 * LANES) * (2 * LANES); k < to; k += 2 * LANES)
    store(pairs + k / 2, neighbours(load(row + k), load(row + k + LANES)));
}

// Two rows as pairs of what stands in the same column.
REGARD_NOINLINE void pair_up(const float* first, const float* second, Index count, float* pairs) {
  for (Index k = 0; k < count; k += LANES) store(pairs + k, lane_by_lane(load(first + k), load(second + k)));
}

}  // namespace regard::REGARD_ISA
