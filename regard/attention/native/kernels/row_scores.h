// Scores that stand as [rows][keys], as backward has them: what is done to a row of them.
#pragma once

#include "block.h"

namespace regard::REGARD_ISA {

inline Span whole_vectors(Span span) { return {span.low / LANES * LANES, round_up(span.high, LANES)}; }
inline Span wider(Span span, Index by) { return {max(span.low - by, 0), span.high + by}; }

// Adds the bias and what the key mask hides to a row's scores.
REGARD_NOINLINE void add_bias(const Area& area, Index row, Span span, float* scores) {
  const Call& call = area.call;
  const float* bias = call.table ? area.bias_of(row) : nullptr;
  const Span whole = whole_vectors(span);
  if (bias && call.table_hides) {
    for (Index k = span.low; k < span.high; ++k) scores[k] = bias[k] == -INFINITE ? -INFINITE : scores[k] + bias[k];
  } else if (bias) {
    Index k = span.low;
    for (; k + LANES <= span.high; k += LANES) store(scores + k, load(scores + k) + load(bias + k));
    for (; k < span.high; ++k) scores[k] += bias[k];
  }
  if (call.key_mask)
    for (Index k = whole.low; k < whole.high; k += LANES) store(scores + k, load(scores + k) + load(area.hiding + k));
}

// Makes a row's scores -inf where it does not see, also where whole vectors reach beyond its span.
inline void hide(const Area& area, Index row, Span span, float* scores) {
  if (area.call.table || area.call.key_mask) add_bias(area, row, span, scores);
  const Span whole = whole_vectors(span);
  if (whole.low == whole.high) return;
  float *first = scores + whole.low, *last = scores + whole.high - LANES;
  store(first, lane_numbers() < int(span.low - whole.low) ? splat(-INFINITE) : load(first));
  store(last, lane_numbers() < int(span.high - whole.high) + LANES ? load(last) : splat(-INFINITE));
}

inline void multiply(float* row, Span span, float scale) {
  for (Index k = span.low; k < span.high; k += LANES) store(row + k, load(row + k) * splat(scale));
}

// Zeros in columns [from, to) outside of a span, all in whole vectors.
inline void clear_outside(Span span, Index from, Index to, float* row) {
  for (Index k = from; k < min(span.low, to); k += LANES) store(row + k, Vector{});
  for (Index k = max(span.high, from); k < to; k += LANES) store(row + k, Vector{});
}

// Scores of a row in columns `span` times `scale` to weights, by the statistic of the row.
REGARD_NOINLINE void weigh(Normalizer normalizer, float scale, float statistic, Span span, float* row) {
  for (Index k = span.low; k < span.high; k += LANES)
    store(row + k, weight_of(normalizer, load(row + k) * splat(scale), splat(statistic)));
}

REGARD_NOINLINE void drop(const Area& area, Index row, Span span, float* weights) {
  const Dropout dropout(area);
  const std::int32_t hash = dropout.hash_of(row);
  for (Index k = span.low; k < span.high; k += LANES) {
    Integers keys;
    std::memcpy(&keys, area.key_hashes + k, sizeof keys);
    store(weights + k, dropout(keys ^ hash, load(weights + k)));
  }
}

}  // namespace regard::REGARD_ISA
