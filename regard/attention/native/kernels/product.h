// The one product of matrices that everything is made of, and the layouts that feed it.
#pragma once

#include <type_traits>

#include "pairs.h"

namespace regard::REGARD_ISA {

// What a tile of scores is besides: it tells the largest of each column so far, and if it is `folded`, other rows stand in
// for its own in the first vector of columns, row m of them in lanes [0, lanes + m).
struct Folding {
  float* largest;  // [N * LANES]
  const float* other;
  Index lanes;
};
constexpr bool FOLDS = LANES == 16;  // elsewhere there are no registers for it
// How many rows a folding tile has at most: few vectors of sums would wait for themselves.
constexpr Index high_of(Index vectors) { return vectors > 2 ? HIGH : HIGH + 2; }

template <int n>
using Vectors = std::integral_constant<int, n>;

// c[M, N * LANES] += sum over k < depth of a[m * am + k * ak] * b[k * bk + ...]; c is overwritten unless `add`.
// Not inlined: only by itself do all of its sums stay in registers.
// Of `pairs` of bfloat16, each where otherwise a float stands, `depth` counts the pairs.
template <bool pairs, int M, int N, bool folded>
REGARD_NOINLINE void product_tile(const float* a, Index am, Index ak, const float* b, Index bk, float* c, Index cm,
                                  Index depth, bool add, const Folding* folding) {
  Vector sums[M][N];
  Lanes stood_in[M];
  const float* const other = folded ? folding->other : nullptr;
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    if (folded) stood_in[m] = first_lanes(folding->lanes + m);
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sums[m][n] = Vector{};
  }
#pragma GCC unroll 2
  for (Index k = 0; k < depth; ++k) {
    Vector row[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) row[n] = load(b + k * bk + n * LANES);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const Vector x = entry<pairs>(a + m * am + k * ak);
      const Vector y = folded ? choose(stood_in[m], entry<pairs>(other + m * am + k * ak), x) : x;
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        const Vector factor = n == 0 ? y : x;
        sums[m][n] = pairs ? add_products(sums[m][n], factor, row[n]) : sums[m][n] + factor * row[n];
      }
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      float* to = c + m * cm + n * LANES;
      store(to, add ? load(to) + sums[m][n] : sums[m][n]);  // sums of sums lose less than one long sum
    }
  if (!folding) return;
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n) {
    Vector most = load(folding->largest + n * LANES);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) most = max(sums[m][n], most);
    store(folding->largest + n * LANES, most);
  }
}

template <bool pairs, int N, bool folded = false>
inline void product_rows(Index rows, const float* a, Index am, Index ak, const float* b, Index bk, float* c, Index cm,
                         Index depth, bool add, const Folding* folding = nullptr) {
  switch (rows) {
    case 1: return product_tile<pairs, 1, N, folded>(a, am, ak, b, bk, c, cm, depth, add, folding);
    case 2: return product_tile<pairs, 2, N, folded>(a, am, ak, b, bk, c, cm, depth, add, folding);
    case 3: return product_tile<pairs, 3, N, folded>(a, am, ak, b, bk, c, cm, depth, add, folding);
    case 4: return product_tile<pairs, 4, N, folded>(a, am, ak, b, bk, c, cm, depth, add, folding);
    case 5: return product_tile<pairs, 5, N, folded>(a, am, ak, b, bk, c, cm, depth, add, folding);
    case 6: return product_tile<pairs, 6, N, folded>(a, am, ak, b, bk, c, cm, depth, add, folding);
    case 7: return product_tile<pairs, (N > 2 ? HIGH : 7), N, folded>(a, am, ak, b, bk, c, cm, depth, add, folding);
    default: return product_tile<pairs, (N > 2 ? HIGH : 8), N, folded>(a, am, ak, b, bk, c, cm, depth, add, folding);
  }
}

// Up to HIGH rows of a, against `columns` columns of b: row k of b is at k * bk, the next WIDE columns `across` further.
template <bool pairs, bool folded = false>
inline void product_panels(Index rows, const float* a, Index am, Index ak, const float* b, Index bk, Index across,
                           float* c, Index cm, Index columns, Index depth, bool add, const Folding* folding = nullptr) {
  for (Index column = 0; column < columns; column += WIDE, b += across) {
    const Index left = columns - column;
    const auto rows_of = [&](auto vectors) {
      product_rows<pairs, vectors, folded>(rows, a, am, ak, b, bk, c + column, cm, depth, add, folding);
    };
    if (left > (ACROSS - 1) * LANES)
      rows_of(Vectors<ACROSS>{});
    else if (ACROSS == 4 && left > 2 * LANES)
      rows_of(Vectors<ACROSS == 4 ? 3 : 1>{});
    else if (ACROSS == 4 && left > LANES)
      rows_of(Vectors<ACROSS == 4 ? 2 : 1>{});
    else
      rows_of(Vectors<1>{});
  }
}

// The same of floats or, where the instruction set has them, of pairs.
inline void product(bool pairs, Index rows, const float* a, Index am, Index ak, const float* b, Index bk, Index across,
                    float* c, Index cm, Index columns, Index depth, bool add) {
  if constexpr (PAIRS)
    if (pairs) return product_panels<true>(rows, a, am, ak, b, bk, across, c, cm, columns, depth, add);
  product_panels<false>(rows, a, am, ak, b, bk, across, c, cm, columns, depth, add);
}

// Scores of up to high_of() rows of a, against the columns of one panel.
inline void product_of_scores(bool pairs, bool folded, Index rows, const float* a, Index am, const float* panel,
                              float* c, Index cm, Index columns, Index depth, const Folding& folding) {
  const auto tile = [&](auto is_pairs, auto is_folded) {
    product_panels<is_pairs, is_folded>(rows, a, am, 1, panel, WIDE, 0, c, cm, columns, depth, false, &folding);
  };
  if constexpr (FOLDS) {
    if constexpr (PAIRS)
      if (pairs) return folded ? tile(std::true_type{}, std::true_type{}) : tile(std::true_type{}, std::false_type{});
    folded ? tile(std::false_type{}, std::true_type{}) : tile(std::false_type{}, std::false_type{});
  }
}

// Rows of one head as float32, [count][stride].
struct Rows {
  const float* data;
  Index stride;
};

// They are read where they lie if nothing is to be done to them, or else copied into `to`, whose stride is `dim` filled
// up with zeros to whole vectors. Rows that are not `attended` become zero.
REGARD_NOINLINE Rows take_rows(const Array& x, Index batch, Index head, Index first, Index count, Index dim,
                               float scale, const bool* attended, float* to) {
  const Index stride = round_up(dim, LANES), start = batch * x.batch + head * x.head + first * x.row;
  if (x.type == Type::float32 && x.column == 1 && scale == 1 && !attended && dim == stride)
    return {static_cast<const float*>(x.data) + start, x.row};
  float* row = to;
  for (Index n = 0; n < count; ++n, row += stride) {
    const Index place = start + n * x.row;
    for (Index d = dim; d < stride; ++d) row[d] = 0;
    if (attended && !attended[n]) {
      for (Index d = 0; d < dim; ++d) row[d] = 0;
    } else if (x.type == Type::float32) {
      const float* from = static_cast<const float*>(x.data) + place;
      if (x.column == 1)
        for (Index d = 0; d < dim; ++d) row[d] = from[d] * scale;
      else
        for (Index d = 0; d < dim; ++d) row[d] = from[d * x.column] * scale;
    } else {
      const std::uint16_t* from = static_cast<const std::uint16_t*>(x.data) + place;
      if (x.type == Type::bfloat16)
        for (Index d = 0; d < dim; ++d) row[d] = from_bfloat16(from[d * x.column]) * scale;
      else
        for (Index d = 0; d < dim; ++d) row[d] = from_float16(from[d * x.column]) * scale;
    }
  }
  return {to, stride};
}

// Rows of one head, each a row of pairs of neighbouring columns, [count][round_up(dim / 2, LANES)]; as `take_rows`.
REGARD_NOINLINE Rows take_pairs(const Array& x, Index batch, Index head, Index first, Index count, Index dim,
                                const bool* attended, float* to) {
  const Index stride = round_up((dim + 1) / 2, LANES);
  const std::uint16_t* from =
      static_cast<const std::uint16_t*>(x.data) + batch * x.batch + head * x.head + first * x.row;
  const bool in_whole_floats = x.row % 2 == 0 && reinterpret_cast<std::uintptr_t>(from) % sizeof(float) == 0;
  if (x.column == 1 && !attended && dim == 2 * stride && in_whole_floats)
    return {reinterpret_cast<const float*>(from), x.row / 2};
  for (Index n = 0; n < count; ++n, from += x.row) {
    std::uint16_t row[2 * LANES];
    for (Index d = 0; d < 2 * stride; d += 2 * LANES) {
      const Index there = attended && !attended[n] ? 0 : min(2 * LANES, max(dim - d, 0));
      if (there == 2 * LANES && x.column == 1) {
        std::memcpy(to + n * stride + d / 2, from + d, sizeof row);
        continue;
      }
      for (Index i = 0; i < 2 * LANES; ++i) row[i] = i < there ? from[(d + i) * x.column] : 0;
      std::memcpy(to + n * stride + d / 2, row, sizeof row);
    }
  }
  return {to, stride};
}

// The same rows as pairs of neighbouring rows, [(count + 1) / 2][round_up(dim, LANES)].
REGARD_NOINLINE Rows take_row_pairs(const Array& x, Index batch, Index head, Index first, Index count, Index dim,
                                    const bool* attended, float* to) {
  const Index stride = round_up(dim, LANES);
  const std::uint16_t* from =
      static_cast<const std::uint16_t*>(x.data) + batch * x.batch + head * x.head + first * x.row;
  for (Index n = 0; n < count; n += 2) {
    const std::uint32_t even = attended && !attended[n] ? 0 : 0xFFFF;
    const std::uint32_t odd = n + 1 == count || (attended && !attended[n + 1]) ? 0 : 0xFFFF;
    const std::uint16_t *a = from + n * x.row, *b = n + 1 == count ? a : a + x.row;
    std::uint32_t packed[LANES];
    Index d = 0;
    if (x.column == 1 && even && odd)
      for (; d + 2 * LANES <= dim; d += 2 * LANES) pair_columns(a + d, b + d, to + n / 2 * stride + d);
    for (; d < stride; d += LANES) {
      if (x.column == 1 && d + LANES <= dim) {
        store(to + n / 2 * stride + d, of_bits((widened(a + d) & even) | (widened(b + d) & odd) << 16));
        continue;
      }
      for (Index i = 0; i < LANES; ++i)
        packed[i] = d + i < dim ? (a[(d + i) * x.column] & even) | (b[(d + i) * x.column] & odd) << 16 : 0;
      std::memcpy(to + n / 2 * stride + d, packed, sizeof packed);
    }
  }
  return {to, stride};
}

// Rows of floats to where they are wanted, as whatever type is wanted there.
REGARD_NOINLINE void put_rows(Rows rows, Index count, Index dim, const Array& x, Index batch, Index head, Index first) {
  const Index start = batch * x.batch + head * x.head + first * x.row;
  for (Index n = 0; n < count; ++n) {
    const float* row = rows.data + n * rows.stride;
    const Index place = start + n * x.row;
    if (x.type == Type::float32) {
      std::memcpy(static_cast<float*>(x.data) + place, row, sizeof(float) * dim);
      continue;
    }
    std::uint16_t* to = static_cast<std::uint16_t*>(x.data) + place;
    Index d = 0;
    if (x.type == Type::bfloat16)
      for (; d + LANES <= dim; d += LANES) store_bfloat16(to + d, load(row + d));
    for (; d < dim; ++d) to[d] = x.type == Type::bfloat16 ? to_bfloat16(row[d]) : to_float16(row[d]);
  }
}

// Rows that will soon be taken or put: asked for a few at a time, for a core that asks for much at once stands still.
class Wanted {
 public:
  Wanted() = default;
  Wanted(const Array& x, Index batch, Index head, Index first, Index dim) {
    const Index size = x.type == Type::float32 ? 4 : 2;
    next_ = static_cast<const char*>(x.data) + (batch * x.batch + head * x.head + first * x.row) * size;
    row_ = x.row * size, bytes_ = x.column == 1 ? dim * size : 0;
  }
  void skip(Index rows) { next_ += rows * row_; }
  REGARD_INLINE void ask(Index rows) {
    for (; rows > 0; --rows, next_ += row_)
      for (Index byte = 0; byte < bytes_; byte += 64) __builtin_prefetch(next_ + byte, 0, 2);
  }

 private:
  const char* next_ = nullptr;
  Index row_ = 0, bytes_ = 0;
};

// What NaN and infinities make NaN, and all other numbers 0.
template <bool pairs>
inline Vector spoilt_by(Vector x) {
  return (pairs ? first_of(x) + second_of(x) : x) * splat(0.f);
}

template <bool pairs>
REGARD_NOINLINE bool all_finite(Rows rows, Index count, Index dim) {
  Vector spoilt{};  // 0, or NaN
  for (Index n = 0; n < count; ++n)
    for (Index d = 0; d < dim; d += LANES) spoilt += spoilt_by<pairs>(load(rows.data + n * rows.stride + d));
  return sum(spoilt) == 0;
}

// Rows become columns: shuffled as cards are, log2(LANES) times. All stays in registers.
template <int times = LANES>
inline void turn(Vector (&square)[LANES]) {
  Vector shuffled[LANES];
#pragma GCC unroll 8
  for (int i = 0; i < LANES / 2; ++i) shuffle(square[i], square[i + LANES / 2], shuffled[2 * i], shuffled[2 * i + 1]);
  if constexpr (times > 2) turn<times / 2>(shuffled);
#pragma GCC unroll 16
  for (int i = 0; i < LANES; ++i) square[i] = shuffled[i];
}

// Rows times `scale` as panels [count / WIDE][dim][WIDE], whose last vector is filled up with zeros: their rows are the
// columns of a product. True if all are finite, or nobody asks. Pairs have no scale.
template <bool pairs = false, bool asked = true>
REGARD_NOINLINE bool by_rows(Rows rows, Index count, Index dim, float scale, float* panels) {
  Vector spoilt{};
  for (Index first = 0; first < count; first += WIDE, panels += dim * WIDE)
    for (Index w = 0; w < min(WIDE, count - first); w += LANES)
      for (Index d = 0; d < dim; d += LANES) {
        Vector square[LANES];
        const float* from = rows.data + (first + w) * rows.stride + d;
        const Index there = min(LANES, count - first - w);
        if (there == LANES)
#pragma GCC unroll 16
          for (int i = 0; i < LANES; ++i) square[i] = load(from + i * rows.stride);
        else
#pragma GCC unroll 16
          for (int i = 0; i < LANES; ++i) square[i] = i < there ? load(from + i * rows.stride) : Vector{};
#pragma GCC unroll 16
        for (int i = 0; i < LANES; ++i) {
          if (!pairs) square[i] *= splat(scale);
          if (asked) spoilt += spoilt_by<pairs>(square[i]);
        }
        turn(square);
        float* to = panels + d * WIDE + w;
        if (d + LANES <= dim)
#pragma GCC unroll 16
          for (int i = 0; i < LANES; ++i) store(to + i * WIDE, square[i]);
        else
#pragma GCC unroll 16
          for (int i = 0; i < LANES; ++i)
            if (d + i < dim) store(to + i * WIDE, square[i]);
      }
  return sum(spoilt) == 0;
}

}  // namespace regard::REGARD_ISA
