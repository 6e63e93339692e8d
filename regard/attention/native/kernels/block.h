// What forward and backward share: which keys a row sees, what is added to scores, and scores into weights.
#pragma once

#include "memory.h"
#include "parallel.h"
#include "product.h"

namespace regard::REGARD_ISA {

struct Span {
  Index low, high;
};

// The keys that a row sees by window and sequence, as they stand in the arrays. Both limits rise with the row.
inline Span seen_by(const Call& call, const Sequence& sequence, Index row) {
  const Index keys = sequence.key_stop - sequence.key_start;
  const Index position = row - sequence.row_start + call.query_start;
  Index low = call.left < 0 ? 0 : min(max(position - call.left, 0), keys);
  Index high = call.right < 0 ? keys : min(position + call.right + 1, keys);
  return {sequence.key_start + low, sequence.key_start + max(low, high)};
}

inline Span within(Span span, Index first, Index last) {  // counted from `first`
  const Index low = min(max(span.low, first), last) - first;
  return {low, max(low, min(span.high, last) - first)};
}

// An area of the matrix of scores, a block of rows against one of keys: what is added to them and what dropout needs.
struct Area {
  const Call& call;
  const Sequence& sequence;
  Index batch, head, row_start, row_stop, key_start, key_stop;
  float* hiding;             // [keys] 0 or -inf, under a key mask
  float* by_distance;        // [rows + keys - 1] the table's entry, from the last row to the first key on
  std::int32_t* key_hashes;  // [keys], under dropout

  Index rows() const { return row_stop - row_start; }
  Index keys() const { return key_stop - key_start; }
  const bool* attended() const { return call.key_mask ? call.key_mask + batch * call.keys + key_start : nullptr; }
  Index first_distance() const {  // of the first key from the last row
    return (key_start - sequence.key_start) - (row_stop - 1 - sequence.row_start + call.query_start);
  }
  Index table_place(Index distance) const { return min(max(distance + call.table_left, 0), call.table_width - 1); }
  const float* bias_of(Index row) const { return by_distance + (row_stop - 1 - row); }
  bool sees(Index row, Index column) const {  // for a column within the row's span
    return !(call.key_mask && hiding[column] < 0) && !(call.table && bias_of(row)[column] == -INFINITE);
  }
};

constexpr std::uint32_t FIRST = 0x7FEB352D, SECOND = 0x846CA68B;  // as in regard/attention/dropout.py

inline std::int32_t hashed(std::int32_t x) {
  x ^= x >> 16;
  x = std::int32_t(std::uint32_t(x) * FIRST);
  x ^= x >> 15;
  x = std::int32_t(std::uint32_t(x) * SECOND);
  return x ^ (x >> 16);
}

inline void prepare_keys(const Area& area) {
  const Call& call = area.call;
  for (Index k = 0; call.key_mask && k < area.keys(); ++k) area.hiding[k] = area.attended()[k] ? 0 : -INFINITE;
  for (Index k = 0; call.dropout > 0 && k < area.keys(); ++k)
    area.key_hashes[k] = hashed(std::int32_t(std::uint32_t(call.first_key + area.key_start + k) * FIRST -
                                             std::uint32_t(call.seed & 0x7FFFFFFF)));
}

// What scores are multiplied with besides the scale of a call: e^x is 2^(x log2 e), and powers of two cost less.
inline float log2_factor(const Call& call) { return call.normalizer == Normalizer::relu ? 1 : LOG2E; }

inline void prepare_head(const Area& area) {
  if (!area.call.table) return;
  const float* table = area.call.table + area.head * area.call.table_width;
  for (Index n = 0; n < area.rows() + area.keys() - 1; ++n)
    area.by_distance[n] = table[area.table_place(area.first_distance() + n)] * log2_factor(area.call);
}

// Pairs of bfloat16 cannot be scaled before they are multiplied.
inline bool in_pairs(const Call& call) { return PAIRS && call.query.type == Type::bfloat16 && !call.additive; }

// Their products are scaled as they become weights, which costs nothing, unless a table is added to them first, or a scale
// that is not positive would turn the -inf of what is hidden.
inline bool scaled_late(const Call& call) { return in_pairs(call) && !call.table && call.scale > 0; }
inline float late_scale(const Call& call) { return scaled_late(call) ? call.scale * log2_factor(call) : 1; }

// How many keys a row sees, at least 1.
inline Index count_seen(const Call& call, const Sequence& sequence, Index batch, Index head, Index row) {
  const Span span = seen_by(call, sequence, row);
  Index count = span.high - span.low;
  if (call.key_mask || call.table_hides) {
    const Index position = row - sequence.row_start + call.query_start;
    count = 0;
    for (Index k = span.low; k < span.high; ++k) {
      bool sees = !call.key_mask || call.key_mask[batch * call.keys + k];
      if (sees && call.table_hides) {
        const Index place = k - sequence.key_start - position + call.table_left;
        sees = call.table[head * call.table_width + min(max(place, 0), call.table_width - 1)] != -INFINITE;
      }
      count += sees;
    }
  }
  return max(count, 1);
}

// A score's weight by the statistic of its row, which forward left.
inline Vector weight_of(Normalizer normalizer, Vector score, Vector statistic) {
  const Vector zero{}, one = splat(1.f);
  if (normalizer == Normalizer::softmax) return power_of_two(score - statistic);
  if (normalizer == Normalizer::relu) return (score < zero ? zero : score) * statistic;
  return statistic - score > splat(127.f) ? zero : one / (one + power_of_two(statistic - score));
}

// Zero where dropout drops, the rest scaled up.
class Dropout {
 public:
  explicit Dropout(const Area& area) {
    const Call& call = area.call;
    const std::uint32_t plane = std::uint32_t(area.batch * call.heads + area.head);
    by_plane_ = hashed(std::int32_t(plane * SECOND + std::uint32_t(call.seed >> 31)));
    seed_ = std::uint32_t(call.seed & 0x7FFFFFFF) + std::uint32_t(call.first_row);
    threshold_ = std::int32_t(Index(call.dropout * 4294967296.0) - (Index(1) << 31));
    scale_ = float(1 / (1 - call.dropout));
  }
  std::int32_t hash_of(Index row) const { return hashed(hashed(std::int32_t(std::uint32_t(row) + seed_)) ^ by_plane_); }
  Vector operator()(Integers row_and_key, Vector x) const {  // their hashes, xor
    const Integers turned = (Integers)((Unsigned)row_and_key * FIRST);
    const Unsigned hash = (Unsigned)(turned ^ (turned >> 15)) * SECOND;
    return (Integers)hash >= (Integers{} + threshold_) ? x * splat(scale_) : Vector{};
  }

 private:
  std::int32_t by_plane_, threshold_;
  std::uint32_t seed_;
  float scale_;
};

// One block of query rows of one sequence.
struct RowBlock {
  const Sequence* sequence;
  Index row_start, row_stop;
};

// How many blocks `row_blocks` makes.
inline Index count_blocks(const Call& call, Index rows) {
  Index count = 0;
  for (Index s = 0; s < call.sequence_count; ++s)
    count += (call.sequences[s].row_stop - call.sequences[s].row_start + rows - 1) / rows;
  return count;
}

// Of all sequences.
inline Index all_rows(const Call& call) {
  Index rows = 0;
  for (Index s = 0; s < call.sequence_count; ++s) rows += call.sequences[s].row_stop - call.sequences[s].row_start;
  return rows;
}

// All blocks of rows, in order.
inline Memory<RowBlock> row_blocks(const Call& call, Index rows, Index& count) {
  count = count_blocks(call, rows);
  Memory<RowBlock> blocks(count);
  RowBlock* next = blocks;
  for (Index s = 0; s < call.sequence_count; ++s) {
    const Sequence& sequence = call.sequences[s];
    for (Index row = sequence.row_start; row < sequence.row_stop; row += rows)
      *next++ = {&sequence, row, min(row + rows, sequence.row_stop)};
  }
  return blocks;
}

}  // namespace regard::REGARD_ISA
