// Forward: blocks of rows against chunks of keys, with what a row has seen so far scaled anew where its largest score
// grows (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"). A window that fits one chunk needs
// no such step.
#pragma once

#include "scores.h"

namespace regard::REGARD_ISA {

constexpr int TALL = 2 * HIGH;  // rows whose scores are held at a time, so that a panel read once serves two tiles

struct ForwardSizes {
  static constexpr Index BLOCKS = 64;  // of rows, if there are enough of them
  Index rows, keys;                    // in a block, in a chunk
  Index packed_at_once;                // keys
  Index dim, value_dim;                // filled up to whole vectors
  Index value_panels;
  bool shared;  // panels of keys and values: all blocks of rows begin with the first key of their sequence

  explicit ForwardSizes(const Call& call) {
    dim = round_up(call.dim, LANES), value_dim = round_up(call.value_dim, LANES);
    value_panels = (value_dim + WIDE - 1) / WIDE;
    Index most_rows = 0, most_keys = 0;
    for (Index s = 0; s < call.sequence_count; ++s) {
      const Sequence& sequence = call.sequences[s];
      most_rows = greater(most_rows, sequence.row_stop - sequence.row_start);
      most_keys = greater(most_keys, sequence.key_stop - sequence.key_start);
    }
    const Index budget = greater(24576 / (dim + value_dim), 48);  // of rows or keys: 96 KiB
    // The longer a block, the fewer keys are packed again for the next; but all threads shall have some.
    rows = smaller(round_up(greater(all_rows(call) * call.batch * call.key_heads / BLOCKS, 96), TALL), (call.additive ? 2 : 8) * budget / TALL * TALL);
    rows = greater(1, smaller(rows, most_rows));
    if (call.left >= 0 && call.right >= 0 && call.left + call.right <= 4 * budget)
      keys = smaller(most_keys, call.left + call.right + rows);  // rows move on along them: few are in use at a time
    else
      keys = smaller(most_keys, 4 * budget);
    keys = round_up(greater(1, keys), WIDE);
    packed_at_once = call.additive ? keys : smaller(keys, 3 * WIDE);  // additive scores must know the largest of them
    shared = !call.additive && call.left < 0 && most_rows > rows;
  }
};

inline Index per_float(const Call& call) { return in_pairs(call) ? 2 : 1; }
inline Index key_depth(const Call& call) { return (call.dim + per_float(call) - 1) / per_float(call); }  // of a panel
inline Index value_depth(const Call& call, Index keys) { return (keys + per_float(call) - 1) / per_float(call); }

// Keys [count] from `first` on, or their values, as panels; `raw` is for what cannot be read where it lies. True if all
// are finite.
inline bool pack_keys(const Call& call, Index batch, Index head, Index first, Index count, float* raw, float* panels) {
  const bool* attended = call.key_mask ? call.key_mask + batch * call.keys + first : nullptr;
  if (!in_pairs(call)) {
    const Rows key = take_rows(call.key, batch, head, first, count, call.dim, 1, attended, raw);
    return by_rows(key, count, call.dim, call.scale, panels);
  }
  const Rows key = take_pairs(call.key, batch, head, first, count, call.dim, attended, raw);
  return by_rows<true>(key, count, key_depth(call), 1, panels);
}
inline bool pack_values(const Call& call, Index batch, Index head, Index first, Index count, float* raw, float* panels,
                        Index depth) {
  const bool* attended = call.key_mask ? call.key_mask + batch * call.keys + first : nullptr;
  const auto take = in_pairs(call) ? take_row_pairs : take_all_rows;
  const Rows value = take(call.value, batch, head, first, count, call.value_dim, attended, raw);
  const auto pack = in_pairs(call) ? by_columns<true> : by_columns<false>;
  return pack(value, value_depth(call, count), round_up(call.value_dim, LANES), panels, depth);
}

struct Panels {
  float *key, *value;
  Index value_depth;
  bool finite;
};

// The panels of a few planes of key heads, where blocks of rows share them.
class SharedPanels {
 public:
  SharedPanels(const Call& call, const ForwardSizes& size) : call_(call), planes_(call.batch * call.key_heads) {
    if (!size.shared) return;
    starts_ = allocated<Index>(call.sequence_count + 1);
    starts_[0] = 0;
    for (Index s = 0; s < call.sequence_count; ++s)
      starts_[s + 1] = starts_[s] + round_up(call.sequences[s].key_stop - call.sequences[s].key_start, PART);
    key_size_ = key_depth(call), value_size_ = size.value_panels * WIDE;
    plane_size_ = keys() * (key_size_ + value_size_);
    planes_ = smaller(planes_, greater(1, (8 << 20) / greater(1, plane_size_)));
    floats_ = allocated<float>(planes_ * plane_size_);
    finite_ = allocated<bool>(planes_ * call.sequence_count);
  }
  ~SharedPanels() { std::free(starts_), std::free(floats_), std::free(finite_); }
  SharedPanels(const SharedPanels&) = delete;

  Index planes_at_once() const { return planes_; }

  void pack(Index first_plane, Index count) {
    if (!floats_) return;
    first_plane_ = first_plane;
    std::memset(finite_, true, count * call_.sequence_count);
    const Index parts = keys() / PART;
    in_parallel(count * parts, call_.threads, [&](Index i) {
      const Index plane = first_plane + i / parts, place = i % parts * PART, s = sequence_at(place);
      const Index batch = plane / call_.key_heads, head = plane % call_.key_heads;
      const Index done = place - starts_[s], first = call_.sequences[s].key_start + done;
      const Index there = smaller(PART, call_.sequences[s].key_stop - first);
      float* raw = nullptr;
      scratch().lay_out([&](Scratch& memory) {
        raw = memory.take(PART * round_up(greater(call_.dim, call_.value_dim), LANES));
      });
      const Panels panels = of(plane, call_.sequences[s]);
      const bool finite_keys = pack_keys(call_, batch, head, first, there, raw, panels.key + done * key_size_);
      const bool finite_values = pack_values(call_, batch, head, first, there, raw,
                                             panels.value + done / per_float(call_) * WIDE, panels.value_depth);
      if (!finite_keys || !finite_values) __atomic_store_n(&finite_[number(plane, s)], false, __ATOMIC_RELAXED);
    });
  }

  Panels of(Index plane, const Sequence& sequence) const {
    const Index s = &sequence - call_.sequences;
    float* key = floats_ + (plane - first_plane_) * plane_size_;
    return {key + starts_[s] * key_size_, key + keys() * key_size_ + starts_[s] * value_size_,
            value_depth(call_, sequence.key_stop - sequence.key_start),
            __atomic_load_n(&finite_[number(plane, s)], __ATOMIC_RELAXED)};
  }

 private:
  static constexpr Index PART = 3 * WIDE;  // keys that are packed together

  template <class T>
  static T* allocated(Index count) {
    T* memory = static_cast<T*>(std::malloc(sizeof(T) * greater(1, count)));
    if (!memory) std::abort();
    return memory;
  }
  Index keys() const { return starts_[call_.sequence_count]; }
  Index number(Index plane, Index s) const { return (plane - first_plane_) * call_.sequence_count + s; }
  Index sequence_at(Index place) const {
    Index low = 0, high = call_.sequence_count;  // it starts at or before the place, the next after it
    while (high - low > 1) {
      const Index middle = (low + high) / 2;
      (starts_[middle] <= place ? low : high) = middle;
    }
    return low;
  }

  const Call& call_;
  Index planes_, first_plane_ = 0, key_size_ = 0, value_size_ = 0, plane_size_ = 0;
  Index* starts_ = nullptr;
  float* floats_ = nullptr;
  bool* finite_ = nullptr;
};

// One block of rows, for all query heads that share a key head.
class ForwardBlock {
 public:
  ForwardBlock(const Call& call, const ForwardSizes& size, const SharedPanels& shared, const Block& block, Index batch,
               Index key_head)
      : call_(call), size_(size), shared_(shared), block_(block), batch_(batch), key_head_(key_head),
        softmax_(call.normalizer == Normalizer::softmax), pairs_(in_pairs(call)), rows_(block.row_stop - block.row_start) {
    scratch().lay_out([&](Scratch& memory) {
      query_copy_ = memory.take(size.rows * size.dim);
      query_doubled_ = memory.take(size.rows * size.dim);
      output_copy_ = memory.take(size.rows * size.value_dim);
      largest_ = memory.take(size.rows);
      sums_ = memory.take(size.rows);
      raw_ = memory.take(size.shared ? 0 : size.packed_at_once * greater(size.dim, size.value_dim));
      own_.key = memory.take(size.shared ? 0 : size.keys * size.dim);
      own_.value = memory.take(size.shared ? 0 : size.keys * size.value_panels * WIDE);
      scores_ = memory.take(TALL * size.keys);
      narrowed_ = memory.take(pairs_ ? TALL * size.keys / 2 : 0);
      hiding_ = memory.take(size.keys);
      hashes_ = memory.take<std::int32_t>(size.keys);
      by_distance_ = memory.take(size.rows + size.keys + LANES);
      spans_ = memory.take<Span>(size.rows);
    });
    for (Index r = 0; r < rows_; ++r) spans_[r] = seen_by(call, *block.sequence, block.row_start + r);
    first_key_ = spans_[0].low;
    last_key_ = spans_[rows_ - 1].high;
  }

  void attend() {
    const Index groups = call_.heads / call_.key_heads;
    const bool keys_serve_all = last_key_ - first_key_ <= size_.keys && !call_.additive;
    for (Index group = 0; group < groups; ++group) {
      take_query(key_head_ * groups + group);
      place_output();
      Index start = first_key_;
      do {
        const Pair pair = pair_from(start);
        if (group == 0 || !keys_serve_all) take_keys(pair);
        prepare_head(pair);
        for (Index r = 0; r < rows_; r += TALL) {
          if (start == first_key_) begin_output(r);
          if (const Span columns = score(pair, r); columns.low < columns.high) {
            for (Index m = 0; m < height(r); ++m) weigh_so_far(pair, r + m, columns, scores_ + m * size_.keys);
            mix(pair, r);
          }
          if (start + size_.keys >= last_key_) end_output(r);
        }
        start += size_.keys;
      } while (start < last_key_);
    }
  }

  // The weights themselves, from the statistics that attend() left: [B, H, Q, width] or [T, H, width], in a truncated
  // window as a band whose first column is the furthest key to the left.
  void put_weights(float* held, Index width) {
    const Index groups = call_.heads / call_.key_heads;
    for (Index group = 0; group < groups; ++group) {
      take_query(key_head_ * groups + group);
      for (Index start = first_key_; start < last_key_; start += size_.keys) {
        const Pair pair = pair_from(start);
        take_keys(pair);
        prepare_head(pair);
        for (Index r = 0; r < rows_; r += TALL) {
          if (const Span columns = score(pair, r); columns.low >= columns.high) continue;
          for (Index m = 0; m < height(r); ++m) {
            const Index row = block_.row_start + r + m;
            float* s = scores_ + m * size_.keys;
            const Span span = span_of(pair, row), whole = whole_vectors(span);
            if (pairs_) multiply(s, whole, call_.scale);
            hide(pair, row, span, s);
            weigh(call_.normalizer, call_.statistics[plane() + row], whole.low, whole.high, s, s);
            if (call_.dropout > 0) drop(pair, row, whole.low, whole.high, s);
            const Index position = row - block_.sequence->row_start + call_.query_start;
            const Index first = call_.left >= 0 && call_.right >= 0 ? position - call_.left : 0;
            const Index place = call_.ragged ? row * call_.heads + head_ : plane() + row;
            float* to = held + place * width + (start - block_.sequence->key_start) - first;
            for (Index k = span.low; k < span.high; ++k) to[k] = s[k];
          }
        }
      }
    }
  }

 private:
  Index height(Index r) const { return smaller(TALL, rows_ - r); }
  Index plane() const { return (batch_ * call_.heads + head_) * call_.rows; }
  Span span_of(const Pair& pair, Index row) const {
    const Span seen = spans_[row - block_.row_start];
    return within(seen, pair.key_start, pair.key_stop);
  }
  // The keys that some row of a tile sees: both limits rise with the row.
  Span tile_span(const Pair& pair, Index r, Index tile) const {
    const Index first = block_.row_start + r + tile * HIGH;
    const Index last = smaller(first + HIGH, block_.row_start + r + height(r)) - 1;
    return {span_of(pair, first).low, span_of(pair, last).high};
  }
  Index tile_height(Index r, Index tile) const { return smaller(HIGH, height(r) - tile * HIGH); }

  void take_query(Index head) {
    head_ = head;
    weight_ = call_.additive ? call_.additive + head * call_.dim : nullptr;
    query_ = pairs_ ? take_pairs(call_.query, batch_, head, block_.row_start, rows_, call_.dim, nullptr, query_copy_)
                    : take_rows(call_.query, batch_, head, block_.row_start, rows_, call_.dim, 1, nullptr, query_copy_);
    if (weight_) {
      query_size_ = most_magnitude(query_, rows_, size_.dim);
      query_as_exponentials_ = doubled_exponentials(query_, rows_, size_.dim, query_doubled_);
    }
  }

  Pair pair_from(Index start) const {
    return {call_, *block_.sequence, batch_, head_, block_.row_start, block_.row_stop, start,
            smaller(start + size_.keys, last_key_), hiding_, by_distance_, hashes_};
  }

  void take_keys(const Pair& pair) {
    prepare_keys(pair);
    panels_ = own_;
    packed_ = asked_for_ = 0, panels_.finite = true, panels_.value_depth = value_depth(call_, pair.keys());
    if (!size_.shared) return;
    panels_ = shared_.of(batch_ * call_.key_heads + key_head_, *block_.sequence);
    const Index before = pair.key_start - block_.sequence->key_start;
    panels_.key += before * key_depth(call_), panels_.value += before / per_float(call_) * WIDE;
    packed_ = pair.keys();
  }

  // Keys and values as panels, as far as they are needed: they are used while they are in the cache.
  void pack(const Pair& pair, Index needed) {
    for (; packed_ < smaller(needed, pair.keys()); packed_ += size_.packed_at_once) {
      const Index first = pair.key_start + packed_, count = smaller(size_.packed_at_once, pair.keys() - packed_);
      float *key = panels_.key + packed_ * key_depth(call_), *value = panels_.value + packed_ / per_float(call_) * WIDE;
      panels_.finite &= weight_ ? pack_additive_keys(pair, first, count, key)
                                : pack_keys(call_, batch_, key_head_, first, count, raw_, key);
      panels_.finite &= pack_values(call_, batch_, key_head_, first, count, raw_, value, panels_.value_depth);
    }
  }
  bool pack_additive_keys(const Pair& pair, Index first, Index count, float* panels) {
    Rows key = take_rows(call_.key, batch_, key_head_, first, count, call_.dim, 1, pair.attended(), raw_);
    easy_ = call_.dim >= 4 && query_size_ + most_magnitude(key, count, size_.dim) < EASY;
    if (easy_) key = doubled_exponentials(key, count, size_.dim, raw_);
    return by_rows(key, count, call_.dim, 1, panels);
  }

  // One more of the keys and values that will be packed next.
  void prefetch(const Pair& pair) {
    asked_for_ = greater(asked_for_, packed_);
    if (asked_for_ >= smaller(packed_ + size_.packed_at_once, pair.keys())) return;
    prefetch_row(call_.key, batch_, key_head_, pair.key_start + asked_for_, call_.dim);
    prefetch_row(call_.value, batch_, key_head_, pair.key_start + asked_for_, call_.value_dim);
    ++asked_for_;
  }

  void place_output() {
    const Array& out = call_.output;
    in_place_ = out.type == Type::float32 && call_.value_dim == size_.value_dim;  // sums are made where they are wanted
    output_ = in_place_ ? static_cast<float*>(out.data) + batch_ * out.batch + head_ * out.head +
                              block_.row_start * out.row
                        : output_copy_;
    stride_ = in_place_ ? out.row : size_.value_dim;
  }

  void begin_output(Index first) {
    for (Index r = first; r < first + height(first); ++r) {
      std::memset(output_ + r * stride_, 0, sizeof(float) * size_.value_dim);
      largest_[r] = -INFINITE, sums_[r] = 0;
      if (softmax_) continue;
      const Index row = block_.row_start + r;
      const float count = float(count_seen(call_, *block_.sequence, batch_, head_, row));
      call_.statistics[plane() + row] = call_.normalizer == Normalizer::relu ? 1 / count : __builtin_logf(count);
    }
  }

  void end_output(Index first) {
    for (Index r = first; r < first + height(first); ++r) {
      float* row = output_ + r * stride_;
      if (softmax_) {
        const float scale = sums_[r] == 0 ? 0 : 1 / sums_[r];
        for (Index d = 0; d < size_.value_dim; ++d) row[d] *= scale;
        call_.statistics[plane() + block_.row_start + r] =
            sums_[r] == 0 ? INFINITE : largest_[r] + __builtin_logf(sums_[r]);
      }
    }
    if (!in_place_)
      put_rows({output_ + first * stride_, stride_}, height(first), call_.value_dim, call_.output, batch_, head_,
               block_.row_start + first);
  }

  // Raw scores of up to TALL rows, and the columns that they stand in.
  Span score(const Pair& pair, Index r) {
    const Index tiles = (height(r) + HIGH - 1) / HIGH;
    Span columns{pair.keys(), 0};
    for (Index t = 0; t < tiles; ++t) {
      const Span seen = tile_span(pair, r, t);
      if (seen.low >= seen.high) continue;
      columns = {smaller(columns.low, seen.low / WIDE * WIDE), greater(columns.high, round_up(seen.high, WIDE))};
    }
    pack(pair, columns.high);
    const Rows asking = easy_ ? query_as_exponentials_ : query_;
    for (Index k = columns.low; k < columns.high; k += WIDE) {
      prefetch(pair);
      if (const Index next = r + TALL + (k - columns.low) / WIDE; next < smaller(rows_, r + 2 * TALL))
        prefetch_row(call_.query, batch_, head_, block_.row_start + next, call_.dim);
      for (Index t = 0; t < tiles; ++t) {
        const Span seen = tile_span(pair, r, t);
        if (k + WIDE <= seen.low || k >= seen.high) continue;
        const Index skipped = greater(seen.low - k, 0) / LANES * LANES;  // vectors of the panel that no row sees
        const float *a = asking.data + (r + t * HIGH) * asking.stride, *panel = panels_.key + k * key_depth(call_);
        float* s = scores_ + t * HIGH * size_.keys + k;
        if (weight_)
          additive_scores(tile_height(r, t), a, asking.stride, panel, call_.dim, weight_, easy_, s, size_.keys);
        else
          product(pairs_, tile_height(r, t), a, asking.stride, 1, panel + skipped, WIDE, 0, s + skipped, size_.keys,
                  smaller(WIDE, seen.high - k) - skipped, key_depth(call_), false);
      }
    }
    return columns;
  }

  // Scores of a row to weights: under softmax not yet divided by their sum, and the row's output made to fit.
  void weigh_so_far(const Pair& pair, Index r, Span columns, float* scores) {
    const Index row = block_.row_start + r;
    const Span span = span_of(pair, row), whole = whole_vectors(span);
    if (pairs_) multiply(scores, whole, call_.scale);
    hide(pair, row, span, scores);
    if (softmax_) {
      const float before = largest_[r], total = exponentiate(whole.low, whole.high, scores, largest_[r]);
      if (largest_[r] > before && sums_[r] != 0) {
        const float shrink = __builtin_expf(before - largest_[r]);
        sums_[r] *= shrink;
        for (Index d = 0; d < size_.value_dim; ++d) output_[r * stride_ + d] *= shrink;
      }
      sums_[r] += total;
    } else {
      weigh(call_.normalizer, call_.statistics[plane() + row], whole.low, whole.high, scores, scores);
    }
    if (call_.dropout > 0) drop(pair, row, whole.low, whole.high, scores);
    clear_outside(whole, columns.low, columns.high, scores);
  }

  // Adds weights @ value to the output.
  void mix(const Pair& pair, Index r) {
    if (!panels_.finite) return mix_carefully(pair, r);
    for (Index m = 0; pairs_ && m < height(r); ++m) {
      const Span keys = mixed_keys(pair, r, m / HIGH);
      narrow(scores_ + m * size_.keys, keys.low, keys.high, 1, narrowed_ + m * size_.keys / 2);
    }
    const Index part = pairs_ ? 2 : 1;
    for (Index column = 0; column < size_.value_dim; column += WIDE)
      for (Index t = 0; t * HIGH < height(r); ++t) {
        const Span keys = mixed_keys(pair, r, t);
        product(pairs_, tile_height(r, t), (pairs_ ? narrowed_ : scores_) + (t * HIGH * size_.keys + keys.low) / part,
                size_.keys / part, 1, panels_.value + column * panels_.value_depth + keys.low / part * WIDE, WIDE, 0,
                output_ + (r + t * HIGH) * stride_ + column, stride_, smaller(WIDE, size_.value_dim - column),
                (keys.high - keys.low) / part, true);
      }
  }
  // Whole pairs: the weights beyond the span are 0.
  Span mixed_keys(const Pair& pair, Index r, Index tile) const {
    const Span seen = tile_span(pair, r, tile);
    return pairs_ && seen.low < seen.high ? Span{seen.low / 2 * 2, round_up(seen.high, 2)} : seen;
  }

  // What is hidden is never multiplied, for 0 times NaN is NaN.
  void mix_carefully(const Pair& pair, Index r) {
    const auto value = [&](Index k, Index d) {
      const float* panels = panels_.value + d / WIDE * panels_.value_depth * WIDE + d % WIDE;
      if (!pairs_) return panels[k * WIDE];
      const std::uint32_t bits = bits_of(panels[k / 2 * WIDE]);
      return float_of(k % 2 ? bits & 0xFFFF0000u : bits << 16);
    };
    for (Index m = 0; m < height(r); ++m) {
      const Index row = block_.row_start + r + m;
      const Span span = span_of(pair, row);
      for (Index k = span.low; k < span.high; ++k)
        for (Index d = 0; d < call_.value_dim && pair.sees(row, k); ++d)
          output_[(r + m) * stride_ + d] += scores_[m * size_.keys + k] * value(k, d);
    }
  }

  const Call& call_;
  const ForwardSizes& size_;
  const SharedPanels& shared_;
  const Block& block_;
  const Index batch_, key_head_;
  const bool softmax_, pairs_;
  const Index rows_;
  Index first_key_, last_key_;
  float *query_copy_, *query_doubled_, *output_copy_, *largest_, *sums_, *raw_, *scores_, *narrowed_, *hiding_;
  float* by_distance_;
  std::int32_t* hashes_;
  Span* spans_;  // of each row, over all keys

  Index head_ = 0;
  const float* weight_ = nullptr;
  Rows query_{}, query_as_exponentials_{};
  float query_size_ = 0;
  Index packed_ = 0, asked_for_ = 0;  // keys: as panels, on their way
  Panels own_{}, panels_{};           // of the keys at hand: panels_ are used
  bool easy_ = false, in_place_ = false;
  float* output_ = nullptr;
  Index stride_ = 0;
};

template <class Task>
inline void for_each_block(const Call& call, const Task& task) {
  const ForwardSizes size(call);
  Index count;
  Block* blocks = cut(call, size.rows, count);
  const Index planes = call.batch * call.key_heads;
  SharedPanels shared(call, size);
  for (Index first = 0; first < planes; first += shared.planes_at_once()) {
    const Index here = smaller(shared.planes_at_once(), planes - first);
    shared.pack(first, here);
    in_parallel(count * here, call.threads, [&](Index i) {  // neighbours in memory come one after another
      const Index plane = first + (call.ragged ? i % here : i / count);
      ForwardBlock block(call, size, shared, blocks[call.ragged ? i / here : i % count], plane / call.key_heads,
                         plane % call.key_heads);
      task(block);
    });
  }
  std::free(blocks);
}

inline void forward(const Call& call) {
  for_each_block(call, [](ForwardBlock& block) { block.attend(); });
}

inline void weights(const Call& call, float* held, Index width) {
  forward(call);
  for_each_block(call, [&](ForwardBlock& block) { block.put_weights(held, width); });
}

}  // namespace regard::REGARD_ISA
