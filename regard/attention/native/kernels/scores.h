// Scores of a few rows against the keys of a block: a dot product, or additive.
#pragma once

#include "block.h"

namespace regard::REGARD_ISA {

// tanh(a + b) = 1 - 2 / (1 + e^2a e^2b): the exponentials are taken once for each vector, and then a row and key cost
// one multiplication and addition for each channel, and four channels share a division. While |a| + |b| stays below this,
// the product of four denominators is a float. With fewer channels there is nothing to share.
constexpr float EASY = 10.5f;

REGARD_NOINLINE float most_magnitude(Rows rows, Index count, Index dim) {
  Vector most{};
  for (Index n = 0; n < count; ++n)
    for (Index d = 0; d < dim; d += LANES) {
      const Vector x = load(rows.data + n * rows.stride + d), size = x < Vector{} ? -x : x;
      most = size > most || size != size ? size : most;  // NaN stays
    }
  float largest_of = 0;
  for (int lane = 0; lane < LANES; ++lane)
    if (!(most[lane] <= largest_of)) largest_of = most[lane];
  return largest_of;
}

// e^2x of rows, [count][dim], which may be done in place.
REGARD_NOINLINE Rows doubled_exponentials(Rows rows, Index count, Index dim, float* to) {
  for (Index n = 0; n < count; ++n)
    for (Index d = 0; d < dim; d += LANES) {
      const Vector x = load(rows.data + n * rows.stride + d);
      store(to + n * dim + d, exponential(x + x));
    }
  return {to, dim};
}

inline Vector hyperbolic_tangent(Vector x) {
  const Vector most = splat(10.f);  // 1 - tanh(10) is 4e-9
  x = x > most ? most : x;
  x = x < -most ? -most : x;
  return splat(1.f) - splat(2.f) / (splat(1.f) + exponential(x + x));
}

// Scores times `factor` of rows a [rows][stride] against N * LANES columns of a panel [dim][WIDE], both raw or, where
// `easy`, as e^2x.
template <int N>
REGARD_NOINLINE void additive_scores(Index rows, const float* a, Index stride, const float* panel, Index dim,
                                     const float* weight, float factor, bool easy, float* scores, Index score_stride) {
  const Vector one = splat(1.f);
  float total = 0;
  for (Index d = 0; d < dim; ++d) total += weight[d];
  for (Index m = 0; m < rows; ++m, a += stride, scores += score_stride) {
    Vector sums[N]{};
    Index d = 0;
    for (; easy && d + 4 <= dim; d += 4) {
      const Vector a0 = splat(a[d]), a1 = splat(a[d + 1]), a2 = splat(a[d + 2]), a3 = splat(a[d + 3]);
      const Vector w0 = splat(weight[d]), w1 = splat(weight[d + 1]), w2 = splat(weight[d + 2]),
                   w3 = splat(weight[d + 3]);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) {
        const float* b = panel + d * WIDE + n * LANES;
        const Vector x0 = a0 * load(b) + one, x1 = a1 * load(b + WIDE) + one;
        const Vector x2 = a2 * load(b + 2 * WIDE) + one, x3 = a3 * load(b + 3 * WIDE) + one;
        const Vector x01 = x0 * x1, x23 = x2 * x3;
        sums[n] += ((w0 * x1 + w1 * x0) * x23 + (w2 * x3 + w3 * x2) * x01) / (x01 * x23);
      }
    }
    for (; d < dim; ++d)
      for (int n = 0; n < N; ++n) {
        const Vector b = load(panel + d * WIDE + n * LANES);
        sums[n] += splat(weight[d]) * (easy ? one / (splat(a[d]) * b + one) : hyperbolic_tangent(splat(a[d]) + b));
      }
    for (int n = 0; n < N; ++n)
      store(scores + n * LANES, splat(factor) * (easy ? splat(total) - splat(2.f) * sums[n] : sums[n]));
  }
}

// The same of as many columns, up to WIDE.
inline void additive_scores(Index columns, Index rows, const float* a, Index stride, const float* panel, Index dim,
                            const float* weight, float factor, bool easy, float* scores, Index score_stride) {
  if (columns > (ACROSS - 1) * LANES)
    return additive_scores<ACROSS>(rows, a, stride, panel, dim, weight, factor, easy, scores, score_stride);
  if (ACROSS == 4 && columns > 2 * LANES)
    return additive_scores<ACROSS == 4 ? 3 : 1>(rows, a, stride, panel, dim, weight, factor, easy, scores,
                                                score_stride);
  if (ACROSS == 4 && columns > LANES)
    return additive_scores<ACROSS == 4 ? 2 : 1>(rows, a, stride, panel, dim, weight, factor, easy, scores,
                                                score_stride);
  additive_scores<1>(rows, a, stride, panel, dim, weight, factor, easy, scores, score_stride);
}

// Adds the gradients of one row against keys [span] by slopes of the loss by scores; those of query and keys are still to
// be multiplied with the weight. Here lanes are channels, and four keys share a division.
REGARD_NOINLINE void additive_gradients(const Area& area, Index row, Span span, const float* a, Rows keys, Index dim,
                                        bool easy, bool careful, const float* slopes, float* by_query, float* by_keys,
                                        float* by_weight) {
  const Vector one = splat(1.f), two = splat(2.f);
  const Index stride = keys.stride;
  for (Index d = 0; d < dim; d += LANES) {
    const Vector x = load(a + d);
    Vector query_sum{}, weight_sum{};  // of this row first: sums of sums lose less
    const auto add = [&](Index k, Vector tangent) {
      const Vector slope = splat(slopes[k]), steep = one - tangent * tangent;  // tanh' = 1 - tanh^2
      query_sum += slope * steep;
      weight_sum += slope * tangent;
      store(by_keys + k * dim + d, load(by_keys + k * dim + d) + slope * steep);
    };
    Index k = span.low;
    for (; easy && !careful && k + 4 <= span.high; k += 4) {
      const float* key = keys.data + k * stride + d;
      const Vector x0 = x * load(key) + one, x1 = x * load(key + stride) + one;
      const Vector x2 = x * load(key + 2 * stride) + one, x3 = x * load(key + 3 * stride) + one;
      const Vector x01 = x0 * x1, x23 = x2 * x3, both = two / (x01 * x23);
      const Vector first = both * x23, second = both * x01;  // 2 / x01, 2 / x23
      add(k, one - first * x1), add(k + 1, one - first * x0);
      add(k + 2, one - second * x3), add(k + 3, one - second * x2);
    }
    for (; k < span.high; ++k) {
      if (careful && !area.sees(row, k)) continue;
      const Vector key = load(keys.data + k * stride + d);
      add(k, easy ? one - two / (x * key + one) : hyperbolic_tangent(x + key));
    }
    store(by_query + d, load(by_query + d) + query_sum);
    store(by_weight + d, load(by_weight + d) + weight_sum);
  }
}

}  // namespace regard::REGARD_ISA
