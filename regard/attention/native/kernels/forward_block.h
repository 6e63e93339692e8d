// Forward: blocks of rows against chunks of keys, with what a row has seen so far scaled anew where its largest score
// grows (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"). A window that fits one chunk needs
// no such step.
#pragma once

#include "panels.h"
#include "scores.h"

namespace regard::REGARD_ISA {

constexpr Index SUMMED = 320;  // keys whose weighted values are summed by themselves before they join the sum of all
constexpr int TALL = 2 * HIGH;  // rows whose scores are held at a time, so that a panel read once serves two tiles

struct ForwardSizes {
  static constexpr Index BLOCKS = 64;  // of rows, if there are enough of them
  Index rows, keys;                    // in a block, in a chunk
  Index packed_at_once;                // keys
  Index dim, value_dim;                // filled up to whole vectors
  Index value_panels;
  bool shared;  // panels: all blocks of rows begin with the first key of their sequence, and most have several blocks

  explicit ForwardSizes(const Call& call) {
    dim = round_up(call.dim, LANES), value_dim = round_up(call.value_dim, LANES);
    value_panels = (value_dim + WIDE - 1) / WIDE;
    Index most_rows = 0, most_keys = 0;
    for (Index s = 0; s < call.sequence_count; ++s) {
      const Sequence& sequence = call.sequences[s];
      most_rows = max(most_rows, sequence.row_stop - sequence.row_start);
      most_keys = max(most_keys, sequence.key_stop - sequence.key_start);
    }
    const Index budget = max(24576 / (dim + value_dim), 48);  // of rows or keys: 96 KiB
    // The longer a block, the fewer keys are packed again for the next; but all threads shall have some.
    const Index share = all_rows(call) * call.batch * call.key_heads / BLOCKS;
    rows = min(round_up(max(share, 96), TALL), (call.additive ? 2 : 8) * budget / TALL * TALL);
    rows = max(1, min(rows, most_rows));
    if (call.left >= 0 && call.right >= 0 && call.left + call.right <= 4 * budget)
      keys = min(most_keys, call.left + call.right + rows);  // rows move on along them: few are in use at a time
    else
      keys = min(most_keys, 4 * budget);
    keys = round_up(max(1, keys), WIDE);
    packed_at_once = call.additive ? keys : min(keys, 3 * WIDE);  // additive scores must know the largest of them
    shared = !call.additive && call.left < 0 && all_rows(call) > rows * call.sequence_count;
  }
};

// One block of rows, for all query heads that share a key head.
class ForwardBlock {
 public:
  ForwardBlock(const Call& call, const ForwardSizes& size, const SharedPanels& shared, const RowBlock& block, Index batch,
               Index key_head)
      : call_(call), size_(size), shared_(shared), block_(block), batch_(batch), key_head_(key_head),
        softmax_(call.normalizer == Normalizer::softmax), pairs_(in_pairs(call)), rows_(block.row_stop - block.row_start) {
    scratch().lay_out([&](Scratch& memory) {
      query_copy_ = memory.take(size.rows * size.dim);
      query_doubled_ = memory.take(size.rows * size.dim);
      output_copy_ = memory.take(size.rows * size.value_dim);
      largest_ = memory.take(size.rows);
      sums_ = memory.take(size.rows);
      raw_ = memory.take(size.shared ? 0 : size.packed_at_once * max(size.dim, size.value_dim));
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
        const Area area = area_from(start);
        if (group == 0 || !keys_serve_all) take_keys(area);
        prepare_head(area);
        for (Index r = 0; r < rows_; r += TALL) {
          if (start == first_key_) begin_output(r);
          if (const Span columns = score(area, r); columns.low < columns.high) {
            weigh_so_far(area, r);
            mix(area, r);
          }
          if (start + size_.keys >= last_key_) end_output(r);
        }
        start += size_.keys;
      } while (start < last_key_);
    }
  }

  // The weights themselves, from the statistics that attend() left: [B, H, Q, width] or [T, H, width], in a truncated
  // window as a band whose first column is the furthest key to the left.
  void put_weights(float* band, Index width) {
    const Index groups = call_.heads / call_.key_heads;
    for (Index group = 0; group < groups; ++group) {
      take_query(key_head_ * groups + group);
      for (Index start = first_key_; start < last_key_; start += size_.keys) {
        const Area area = area_from(start);
        take_keys(area);
        prepare_head(area);
        for (Index r = 0; r < rows_; r += TALL) {
          if (const Span columns = score(area, r); columns.low >= columns.high) continue;
          for (Index m = 0; m < height(r); ++m) {
            const Index row = block_.row_start + r + m;
            float* s = scores_ + m * size_.keys;
            const Span span = span_of(area, row), whole = whole_vectors(span);
            if (pairs_ && !scaled_late(call_)) multiply(s, whole, call_.scale * log2_factor(call_));
            hide(area, row, span, s);
            weigh(call_.normalizer, late_scale(call_), call_.statistics[plane() + row], whole.low, whole.high, s, s);
            if (call_.dropout > 0) drop(area, row, whole.low, whole.high, s);
            const Index position = row - block_.sequence->row_start + call_.query_start;
            const Index first = call_.left >= 0 && call_.right >= 0 ? position - call_.left : 0;
            const Index place = call_.ragged ? row * call_.heads + head_ : plane() + row;
            float* to = band + place * width + (start - block_.sequence->key_start) - first;
            for (Index k = span.low; k < span.high; ++k) to[k] = s[k];
          }
        }
      }
    }
  }

 private:
  Index height(Index r) const { return min(TALL, rows_ - r); }
  Index plane() const { return (batch_ * call_.heads + head_) * call_.rows; }
  Span span_of(const Area& area, Index row) const {
    const Span seen = spans_[row - block_.row_start];
    return within(seen, area.key_start, area.key_stop);
  }
  // The keys that some row of a tile sees: both limits rise with the row.
  Span tile_span(const Area& area, Index r, Index tile) const {
    const Index first = block_.row_start + r + tile * HIGH;
    const Index last = min(first + HIGH, block_.row_start + r + height(r)) - 1;
    return {span_of(area, first).low, span_of(area, last).high};
  }
  Index tile_height(Index r, Index tile) const { return min(HIGH, height(r) - tile * HIGH); }

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

  Area area_from(Index start) const {
    return {call_, *block_.sequence, batch_, head_, block_.row_start, block_.row_stop, start,
            min(start + size_.keys, last_key_), hiding_, by_distance_, hashes_};
  }

  void take_keys(const Area& area) {
    prepare_keys(area);
    panels_ = own_;
    packed_ = asked_for_ = 0, panels_.finite = true, panels_.value_depth = value_depth(call_, area.keys());
    if (!size_.shared) return;
    panels_ = shared_.of(batch_ * call_.key_heads + key_head_, *block_.sequence);
    const Index before = area.key_start - block_.sequence->key_start;
    panels_.key += before * key_depth(call_), panels_.value += before / per_float(call_) * WIDE;
    packed_ = area.keys();
  }

  // Keys and values as panels, as far as they are needed: they are used while they are in the cache.
  void pack(const Area& area, Index needed) {
    for (; packed_ < min(needed, area.keys()); packed_ += size_.packed_at_once) {
      const Index first = area.key_start + packed_, count = min(size_.packed_at_once, area.keys() - packed_);
      float *key = panels_.key + packed_ * key_depth(call_), *value = panels_.value + packed_ / per_float(call_) * WIDE;
      panels_.finite &= weight_ ? pack_additive_keys(area, first, count, key)
                                : pack_keys(call_, batch_, key_head_, first, count, raw_, key);
      panels_.finite &= pack_values(call_, batch_, key_head_, first, count, raw_, value, panels_.value_depth);
    }
  }
  bool pack_additive_keys(const Area& area, Index first, Index count, float* panels) {
    Rows key = take_rows(call_.key, batch_, key_head_, first, count, call_.dim, 1, area.attended(), raw_);
    easy_ = call_.dim >= 4 && query_size_ + most_magnitude(key, count, size_.dim) < EASY;
    if (easy_) key = doubled_exponentials(key, count, size_.dim, raw_);
    return by_rows(key, count, call_.dim, 1, panels);
  }

  // A share of what is wanted next: of the keys and values that will be packed, and of the following rows.
  void prefetch(const Area& area, Index r, Index share, Index shares) {
    const Index last = min(packed_ + size_.packed_at_once, area.keys());
    asked_for_ = max(asked_for_, packed_);
    for (Index n = 0; n <= TALL / shares && asked_for_ < last; ++n, ++asked_for_) {
      prefetch_row(call_.key, batch_, key_head_, area.key_start + asked_for_, call_.dim);
      prefetch_row(call_.value, batch_, key_head_, area.key_start + asked_for_, call_.value_dim);
    }
    const Index stop = min(rows_, r + 2 * TALL);
    for (Index n = r + TALL + TALL * share / shares; n < min(stop, r + TALL + TALL * (share + 1) / shares); ++n)
      prefetch_row(call_.query, batch_, head_, block_.row_start + n, call_.dim);
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
      call_.statistics[plane() + row] = call_.normalizer == Normalizer::relu ? 1 / count : LOG2E * __builtin_logf(count);
    }
  }

  void end_output(Index first) {
    for (Index r = first; r < first + height(first); ++r) {
      float* row = output_ + r * stride_;
      if (softmax_) {
        const float scale = sums_[r] == 0 ? 0 : 1 / sums_[r];
        for (Index d = 0; d < size_.value_dim; ++d) row[d] *= scale;
        call_.statistics[plane() + block_.row_start + r] =
            sums_[r] == 0 ? INFINITE : largest_[r] + LOG2E * __builtin_logf(sums_[r]);
      }
    }
    if (!in_place_)
      put_rows({output_ + first * stride_, stride_}, height(first), call_.value_dim, call_.output, batch_, head_,
               block_.row_start + first);
  }

  // Raw scores of up to TALL rows, and the columns that they stand in.
  Span score(const Area& area, Index r) {
    const Index tiles = (height(r) + HIGH - 1) / HIGH;
    Span columns{area.keys(), 0};
    for (Index t = 0; t < tiles; ++t) {
      const Span seen = tile_span(area, r, t);
      if (seen.low >= seen.high) continue;
      columns = {min(columns.low, seen.low / WIDE * WIDE), max(columns.high, round_up(seen.high, WIDE))};
    }
    pack(area, columns.high);
    const Rows asking = easy_ ? query_as_exponentials_ : query_;
    for (Index k = columns.low; k < columns.high; k += WIDE) {
      prefetch(area, r, (k - columns.low) / WIDE, (columns.high - columns.low) / WIDE);
      for (Index t = 0; t < tiles; ++t) {
        const Span seen = tile_span(area, r, t);
        if (k + WIDE <= seen.low || k >= seen.high) continue;
        const Index skipped = max(seen.low - k, 0) / LANES * LANES;  // vectors of the panel that no row sees
        const float *a = asking.data + (r + t * HIGH) * asking.stride, *panel = panels_.key + k * key_depth(call_);
        float* s = scores_ + t * HIGH * size_.keys + k;
        if (weight_)
          additive_scores(tile_height(r, t), a, asking.stride, panel, call_.dim, weight_, log2_factor(call_), easy_, s,
                          size_.keys);
        else
          product(pairs_, tile_height(r, t), a, asking.stride, 1, panel + skipped, WIDE, 0, s + skipped, size_.keys,
                  min(WIDE, seen.high - k) - skipped, key_depth(call_), false);
      }
    }
    return columns;
  }

  // Scores of up to TALL rows to weights: under softmax not yet divided by their sum, and the output made to fit.
  void weigh_so_far(const Area& area, Index r) {
    float most[TALL];
    for (Index m = 0; m < height(r); ++m) {  // of all rows first: none waits for the largest score of another
      float* scores = scores_ + m * size_.keys;
      const Span span = span_of(area, block_.row_start + r + m), whole = whole_vectors(span);
      if (pairs_ && !scaled_late(call_)) multiply(scores, whole, call_.scale * log2_factor(call_));
      hide(area, block_.row_start + r + m, span, scores);
      const float largest_here = softmax_ ? largest_score(whole.low, whole.high, scores) * late_scale(call_) : 0;
      most[m] = largest_here > largest_[r + m] ? largest_here : largest_[r + m];
    }
    for (Index m = 0; m < height(r); ++m) {
      float* scores = scores_ + m * size_.keys;
      const Index row = block_.row_start + r + m;
      const Span whole = whole_vectors(span_of(area, row)), mixed = whole_vectors(mixed_keys(area, r, m / HIGH));
      if (softmax_)
        raise_to(r + m, most[m], whole, scores);
      else
        weigh(call_.normalizer, late_scale(call_), call_.statistics[plane() + row], whole.low, whole.high, scores, scores);
      if (call_.dropout > 0) drop(area, row, whole.low, whole.high, scores);
      clear_outside(whole, mixed.low, mixed.high, scores);
    }
  }
  void raise_to(Index r, float most, Span columns, float* scores) {
    const float total = raise(columns.low, columns.high, late_scale(call_), most == -INFINITE ? 0 : most, scores);
    if (most > largest_[r] && sums_[r] != 0) {
      const float shrink = __builtin_exp2f(largest_[r] - most);
      sums_[r] *= shrink;
      for (Index d = 0; d < size_.value_dim; ++d) output_[r * stride_ + d] *= shrink;
    }
    largest_[r] = most, sums_[r] += total;
  }

  // Adds weights @ value to the output.
  void mix(const Area& area, Index r) {
    if (!panels_.finite) return mix_carefully(area, r);
    for (Index m = 0; pairs_ && m < height(r); ++m) {
      const Span keys = mixed_keys(area, r, m / HIGH);
      narrow(scores_ + m * size_.keys, keys.low, keys.high, 1, narrowed_ + m * size_.keys / 2);
    }
    const Index part = pairs_ ? 2 : 1;
    for (Index column = 0; column < size_.value_dim; column += WIDE)
      for (Index t = 0; t * HIGH < height(r); ++t) {
        const Span keys = mixed_keys(area, r, t);
        for (Index k = keys.low; k < keys.high; k += SUMMED)
          product(pairs_, tile_height(r, t), (pairs_ ? narrowed_ : scores_) + (t * HIGH * size_.keys + k) / part,
                  size_.keys / part, 1, panels_.value + column * panels_.value_depth + k / part * WIDE, WIDE, 0,
                  output_ + (r + t * HIGH) * stride_ + column, stride_, min(WIDE, size_.value_dim - column),
                  (min(k + SUMMED, keys.high) - k) / part, true);
      }
  }
  // Whole pairs: the weights beyond the span are 0.
  Span mixed_keys(const Area& area, Index r, Index tile) const {
    const Span seen = tile_span(area, r, tile);
    return pairs_ && seen.low < seen.high ? Span{seen.low / 2 * 2, round_up(seen.high, 2)} : seen;
  }

  // What is hidden is never multiplied, for 0 times NaN is NaN.
  void mix_carefully(const Area& area, Index r) {
    const auto value = [&](Index k, Index d) {
      const float* panels = panels_.value + d / WIDE * panels_.value_depth * WIDE + d % WIDE;
      if (!pairs_) return panels[k * WIDE];
      const std::uint32_t bits = bits_of(panels[k / 2 * WIDE]);
      return float_of(k % 2 ? bits & 0xFFFF0000u : bits << 16);
    };
    for (Index m = 0; m < height(r); ++m) {
      const Index row = block_.row_start + r + m;
      const Span span = span_of(area, row);
      for (Index k = span.low; k < span.high; ++k)
        for (Index d = 0; d < call_.value_dim && area.sees(row, k); ++d)
          output_[(r + m) * stride_ + d] += scores_[m * size_.keys + k] * value(k, d);
    }
  }

  const Call& call_;
  const ForwardSizes& size_;
  const SharedPanels& shared_;
  const RowBlock& block_;
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

}  // namespace regard::REGARD_ISA
