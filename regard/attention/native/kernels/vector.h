// Vectors of float in the compiler's own terms, so that one source serves every instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "call.h"

#define REGARD_APART __attribute__((noinline)) inline

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

inline Vector load(const float* from) {
  Vector x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
inline void store(float* to, Vector x) { std::memcpy(to, &x, sizeof x); }
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
inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }

// All lanes into one, by halves.
template <class Join>
inline float joined(Vector x, const Join& join) {
  float lanes[LANES];
  store(lanes, x);
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int lane = 0; lane < half; ++lane) lanes[lane] = join(lanes[lane], lanes[lane + half]);
  return lanes[0];
}
inline float sum(Vector x) {
  return joined(x, [](float a, float b) { return a + b; });
}
inline float largest(Vector x) { return joined(x, [](float a, float b) { return a > b ? a : b; }); }

// e^x = 2^whole * 2^rest to 1e-7, relative, where it is near 1, and for x up to 88. Below -87 it is 0; NaN stays NaN.
inline Vector exponential_of_small(Vector x) {
  const Vector magic = splat(12582912.f);  // 1.5 * 2^23: adding it rounds to a whole number, held in the low bits
  const Vector log2e = splat(1.44269504f), shifted = x * log2e + magic, whole = shifted - magic, rest = x * log2e - whole;
  Vector y = splat(1.534581243e-4f);  // the polynomial of degree 6 nearest to 2^rest on [-0.5, 0.5]
  y = y * rest + splat(1.339993090e-3f);
  y = y * rest + splat(9.618489072e-3f);
  y = y * rest + splat(5.550328642e-2f);
  y = y * rest + splat(2.402264625e-1f);
  y = y * rest + splat(6.931471825e-1f);
  y = y * rest + splat(1.f);
  y = of_bits(bits_of(y) + (bits_of(shifted) << 23));  // times 2^whole
  return x < splat(-87.f) ? Vector{} : y;
}

// The same, and above 88 it is inf.
inline Vector exponential(Vector x) { return x > splat(88.f) ? splat(INFINITE) : exponential_of_small(x); }

inline Vector sigmoid(Vector x) { return splat(1.f) / (splat(1.f) + exponential(-x)); }

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

inline Index smaller(Index a, Index b) { return a < b ? a : b; }
inline Index greater(Index a, Index b) { return a > b ? a : b; }
inline Index round_up(Index n, Index to) { return (n + to - 1) / to * to; }

}  // namespace regard::REGARD_ISA
