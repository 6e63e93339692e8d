// Vectors of float in the compiler's own terms, so that one source serves every instruction set.
#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

#include "call.h"

#define REGARD_NOINLINE __attribute__((noinline)) inline
// For what only asks for memory: called by itself it has no effect, and GCC would drop the calls.
#define REGARD_INLINE __attribute__((always_inline)) inline

// Every instruction set has a namespace of its own: an inline function compiled for one must never be run by another.
namespace regard::REGARD_ISA {

#if defined(__AVX512F__) || defined(REGARD_EMULATE_AVX512)
constexpr int LANES = 16, ACROSS = 4;  // ACROSS vectors wide are the tiles of a product, 6 rows high
#elif defined(__AVX__)
constexpr int LANES = 8, ACROSS = 2;
#elif defined(__ARM_NEON)
constexpr int LANES = 4, ACROSS = 4;
#else
constexpr int LANES = 4, ACROSS = 2;
#endif
constexpr int HIGH = 6, WIDE = LANES * ACROSS;
constexpr float INFINITE = __builtin_inff();

typedef float Vector __attribute__((vector_size(LANES * 4)));
typedef std::int32_t Integers __attribute__((vector_size(LANES * 4)));
typedef std::uint32_t Unsigned __attribute__((vector_size(LANES * 4)));
typedef std::uint16_t Halves __attribute__((vector_size(LANES * 2)));

inline Vector load(const float* from) {
  Vector x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
inline void store(float* to, Vector x) { std::memcpy(to, &x, sizeof x); }
// x in every lane. Less 0, for -0 plus 0 would be 0; compilers make a broadcast of it.
inline Vector splat(float x) { return x - Vector{}; }
inline Unsigned bits_of(Vector x) {
  Unsigned bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline Vector of_bits(Unsigned bits) {
  Vector x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline Vector max(Vector a, Vector b) { return a > b ? a : b; }
inline Integers lane_numbers() {
  Integers lanes;
  for (int i = 0; i < LANES; ++i) lanes[i] = i;
  return lanes;
}

// Lanes [0, count), also of none and of more than there are, and what is chosen there instead of another.
#if defined(__AVX512F__)
typedef __mmask16 Lanes;
inline Lanes first_lanes(Index count) { return Lanes(count <= 0 ? 0 : count >= LANES ? 0xFFFF : (1 << count) - 1); }
inline Vector choose(Lanes lanes, Vector there, Vector elsewhere) {
  return (Vector)_mm512_mask_blend_ps(lanes, (__m512)elsewhere, (__m512)there);
}
#else
typedef Integers Lanes;
inline Lanes first_lanes(Index count) { return lane_numbers() < Integers{} + int(count); }
inline Vector choose(Lanes lanes, Vector there, Vector elsewhere) { return lanes ? there : elsewhere; }
#endif

#if defined(__clang__)
#define REGARD_SHUFFLE(Places, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else  // which has that from version 12 on
#define REGARD_SHUFFLE(Places, a, b, ...) __builtin_shuffle(a, b, Places{__VA_ARGS__})
#endif

// Lane i + n in place of lane i.
template <int n>
inline Vector moved(Vector x) {
#if defined(__AVX512F__) || defined(REGARD_EMULATE_AVX512)
  return REGARD_SHUFFLE(Integers, x, x, n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8, n + 9, n + 10,
                        n + 11, n + 12, n + 13, n + 14, n + 15);
#elif defined(__AVX__)
  return REGARD_SHUFFLE(Integers, x, x, n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7);
#else
  return REGARD_SHUFFLE(Integers, x, x, n, n + 1, n + 2, n + 3);
#endif
}
// All lanes into one, by halves.
template <class Join>
inline float joined(Vector x, const Join& join) {
  if constexpr (LANES > 8) x = join(x, moved<8>(x));
  if constexpr (LANES > 4) x = join(x, moved<4>(x));
  x = join(x, moved<2>(x));
  return join(x, moved<1>(x))[0];
}
// Rows i and i + LANES / 2 shuffled as cards are.
inline void shuffle(const Vector& a, const Vector& b, Vector& lower, Vector& upper) {
#if defined(__AVX512F__) || defined(REGARD_EMULATE_AVX512)
  lower = REGARD_SHUFFLE(Integers, a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  upper = REGARD_SHUFFLE(Integers, a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif defined(__AVX__)
  lower = REGARD_SHUFFLE(Integers, a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  upper = REGARD_SHUFFLE(Integers, a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
  lower = REGARD_SHUFFLE(Integers, a, b, 0, 4, 1, 5);
  upper = REGARD_SHUFFLE(Integers, a, b, 2, 6, 3, 7);
#endif
}
// All lanes of 2 * half vectors, LANES of them, into one each: lane i is that of vector i. The vectors are lost.
template <int half = LANES / 2, class Join>
inline Vector joined(Vector* x, const Join& join) {
#pragma GCC unroll 8
  for (int i = 0; i < half; ++i) {
    Vector lower, upper;
    shuffle(x[i], x[i + half], lower, upper);
    x[i] = join(lower, upper);
  }
  if constexpr (half > 1) return joined<half / 2>(x, join);
  return x[0];
}
inline float sum(Vector x) {
  return joined(x, [](Vector a, Vector b) { return a + b; });
}

constexpr float LOG2E = 1.44269504f;
constexpr float ROUNDING = 12582912.f;  // 1.5 * 2^23: adding it rounds to a whole number, held in the low bits

// 2^rest to 1.6e-7, relative, for rest from -0.5 to 0.5.
inline Vector power_near_one(Vector rest) {
  Vector y = splat(1.326951548e-3f);  // the polynomial of degree 5 nearest to it, with 1 at 0
  y = y * rest + splat(9.671290405e-3f);
  y = y * rest + splat(5.550710857e-2f);
  y = y * rest + splat(2.402224690e-1f);
  y = y * rest + splat(6.931470037e-1f);
  return y * rest + splat(1.f);
}

// 2^rest times 2^integer; `rounded` is integer + ROUNDING.
inline Vector power_of_two(Vector rounded, Vector rest) {
  return of_bits(bits_of(power_near_one(rest)) + (bits_of(rounded) << 23));
}

#if defined(__AVX512F__)
alignas(64) constexpr float POWERS[32] = {
    // 2^(n / 32)
    1.000000000f, 1.021897149f, 1.044273782f, 1.067140401f, 1.090507733f, 1.114386743f, 1.138788635f, 1.163724859f,
    1.189207115f, 1.215247360f, 1.241857812f, 1.269050957f, 1.296839555f, 1.325236643f, 1.354255547f, 1.383909882f,
    1.414213562f, 1.445180807f, 1.476826146f, 1.509164428f, 1.542210825f, 1.575980845f, 1.610490332f, 1.645755478f,
    1.681792831f, 1.718619298f, 1.756252160f, 1.794709075f, 1.834008086f, 1.874167634f, 1.915206561f, 1.957144124f};
#endif

// 2^x for x below 128, to 1.7e-7. Below -126 it is 0; NaN stays NaN.
inline Vector power_of_two(Vector x) {
#if defined(__AVX512F__)
  // x as n / 32, whose last five bits find a power in the table, and a rest, for which degree 2 is enough.
  const __m512 magic = _mm512_set1_ps(ROUNDING / 32), rounded = _mm512_add_ps((__m512)x, magic);
  const __m512 near = _mm512_sub_ps(rounded, magic), rest = _mm512_sub_ps((__m512)x, near);
  const __m512 part = _mm512_permutex2var_ps(_mm512_load_ps(POWERS), (__m512i)rounded, _mm512_load_ps(POWERS + 16));
  const __m512 slope = _mm512_fmadd_ps(_mm512_set1_ps(2.402284459e-1f), rest, _mm512_set1_ps(6.931573437e-1f));
  const __m512 power = _mm512_fmadd_ps(_mm512_mul_ps(part, rest), slope, part);
  const __mmask16 is_kept = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-126.f), _CMP_NLT_UQ);
  return (Vector)_mm512_maskz_scalef_ps(is_kept, power, near);
#else
  const Vector rounded = x + splat(ROUNDING), rest = x - (rounded - splat(ROUNDING));
  return x < splat(-126.f) ? Vector{} : power_of_two(rounded, rest);
#endif
}

// log2 x to 2e-7, of normal numbers above 0: a whole number, and log2 m with m from sqrt(1/2) to sqrt(2).
inline Vector logarithm(Vector x) {
  const Unsigned bits = bits_of(x);
  const Integers whole = (Integers)(bits - 0x3F3504F3u) >> 23;
  const Vector m = of_bits(bits - ((Unsigned)whole << 23)), t = (m - splat(1.f)) / (m + splat(1.f)), square = t * t;
  Vector y = splat(2.f / 9);  // 2 artanh t, which is log m
  y = y * square + splat(2.f / 7);
  y = y * square + splat(2.f / 5);
  y = y * square + splat(2.f / 3);
  y = y * square + splat(2.f);
  return __builtin_convertvector(whole, Vector) + splat(LOG2E) * (y * t) + (x - x);
}

// e^x. Below -87 it is 0, above 88 inf; NaN stays NaN.
inline Vector exponential(Vector x) {
  const Vector rounded = x * splat(LOG2E) + splat(ROUNDING), rest = x * splat(LOG2E) - (rounded - splat(ROUNDING));
  const Vector y = power_of_two(rounded, rest);
  return x > splat(88.f) ? splat(INFINITE) : x < splat(-87.f) ? Vector{} : y;
}

inline std::uint32_t bits_of(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float float_of(std::uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

inline float from_bfloat16(std::uint16_t x) { return float_of(std::uint32_t(x) << 16); }
inline float from_float16(std::uint16_t x) {
  std::uint32_t magnitude = std::uint32_t(x & 0x7FFF) << 13;
  float value = float_of(magnitude) * 0x1p112f;  // exponents are biased by 15 and by 127
  std::uint32_t bits = value >= 65536.f ? bits_of(value) | 0x7F800000 : bits_of(value);
  return float_of(bits | std::uint32_t(x & 0x8000) << 16);
}

// The nearest that there are.
inline std::uint16_t to_bfloat16(float x) {
  const std::uint32_t bits = bits_of(x);
  return x == x ? (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16 : 0x7FC0u;
}
inline std::uint16_t to_float16(float x) {
  const std::uint32_t sign = bits_of(x) & 0x80000000u, bits = bits_of(x) ^ sign;
  std::uint32_t half;
  if (bits >= 0x47800000u)  // from 2^16 on
    half = x == x ? 0x7C00u : 0x7E00u;
  else if (bits < 0x38800000u)  // below 2^-14: adding 0.5 rounds to whole steps
    half = bits_of(float_of(bits) + 0.5f) - bits_of(0.5f);
  else
    half = (bits - (112u << 23) + 0xFFFu + ((bits >> 13) & 1u)) >> 13;
  return std::uint16_t(sign >> 16 | half);
}

// A vector of bfloat16.
inline Unsigned widened(const std::uint16_t* from) {
  Halves x;
  std::memcpy(&x, from, sizeof x);
  return __builtin_convertvector(x, Unsigned);
}
inline void store_bfloat16(std::uint16_t* to, Vector x) {
  const Unsigned bits = bits_of(x), rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  const Halves halves = __builtin_convertvector(x == x ? rounded : Unsigned{} + 0x7FC0u, Halves);
  std::memcpy(to, &halves, sizeof halves);
}

inline Index min(Index a, Index b) { return a < b ? a : b; }
inline Index max(Index a, Index b) { return a > b ? a : b; }
inline Index round_up(Index n, Index to) { return (n + to - 1) / to * to; }

}  // namespace regard::REGARD_ISA
