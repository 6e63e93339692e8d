// Forward: blocks of rows against chunks of keys, with what a row has seen so far scaled anew where its largest score
// grows (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"). A window that fits one chunk needs
// no such step.
#pragma once

#include "forward_sizes.h"
#include "panels.h"
#include "scores.h"

namespace regard::REGARD_ISA {

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
      largest_ = memory.take(size.rows + LANES);
      sums_ = memory.take(size.rows + LANES);
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
    const Array& value = call.value;
    values_in_place_ = !size.shared && value.type == Type::float32 && value.column == 1 &&
                       call.value_dim == size.value_dim && value.row <= 2 * size.value_dim;
  }

  void attend() {
    const Index groups = call_.heads / call_.key_heads;
    const bool keys_serve_all = last_key_ - first_key_ <= size_.keys && !call_.additive;
    for (Index group = 0; group < groups; ++group) {
      take_query(key_head_ * groups + group);
      place_output();
      careful_ = false;
      if (attend_all(group == 0 || !keys_serve_all)) continue;
      careful_ = true;  // what is NaN may be so by a value that no row sees
      attend_all(!keys_serve_all);
    }
  }

  // All rows of a head; true if the output is finite.
  bool attend_all(bool take_new_keys) {
    Vector spoilt{};
    Index start = first_key_;
    do {
      const Area area = area_from(start);
      if (take_new_keys) take_keys(area);
      prepare_head(area);
      for (Index r = 0; r < rows_; r += TALL) {
        if (start == first_key_) begin_rows(r);
        if (const Span columns = score(area, r); columns.low < columns.high) {
          weigh_so_far(area, r);
          mix(area, r);
        } else if (start == first_key_) {
          clear_output(r, height(r));
        }
        if (start + size_.keys >= last_key_) spoilt += end_output(r);
      }
      start += size_.keys;
    } while (start < last_key_);
    return sum(spoilt) == 0;
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
    packed_ = asked_for_ = 0;
    panels_.value_row = WIDE, panels_.value_across = value_depth(call_, area.keys()) * WIDE;
    if (values_in_place_) {
      const Array& x = call_.value;
      panels_.value = static_cast<float*>(x.data) + batch_ * x.batch + key_head_ * x.head + area.key_start * x.row;
      panels_.value_row = x.row, panels_.value_across = WIDE;
    }
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
      float* key = panels_.key + packed_ * key_depth(call_);
      if (weight_)
        pack_additive_keys(area, first, count, key);
      else
        pack_keys(call_, batch_, key_head_, first, count, raw_, key);
      if (!values_in_place_)
        pack_values(call_, batch_, key_head_, first, count, raw_, panels_.value + packed_ / per_float(call_) * WIDE,
                    panels_.value_across / WIDE);
    }
  }
  void pack_additive_keys(const Area& area, Index first, Index count, float* panels) {
    Rows key = take_rows(call_.key, batch_, key_head_, first, count, call_.dim, 1, area.attended(), raw_);
    easy_ = call_.dim >= 4 && query_size_ + most_magnitude(key, count, size_.dim) < EASY;
    if (easy_) key = doubled_exponentials(key, count, size_.dim, raw_);
    by_rows<false, false>(key, count, call_.dim, 1, panels);
  }

  // A share of what is wanted next: of the keys and values that will be packed, and of rows to be read and written.
  REGARD_INLINE void prefetch(const Area& area, Index first_row, Index stop_row) {
    const Index ready = min(packed_ + size_.packed_at_once, area.keys());
    const Index key = area.key_start + asked_for_;
    asked_for_ = max(asked_for_, min(ready, asked_for_ + stop_row - first_row + 1));
    prefetch_rows(call_.key, batch_, key_head_, key, area.key_start + asked_for_, call_.dim);
    prefetch_rows(call_.value, batch_, key_head_, key, area.key_start + asked_for_, call_.value_dim);
    const Index row = block_.row_start + first_row, stop = block_.row_start + min(stop_row, rows_);
    prefetch_rows(call_.query, batch_, head_, row, stop, call_.dim);
    prefetch_rows<true>(call_.output, batch_, head_, row, stop, call_.value_dim);
  }

  void place_output() {
    const Array& out = call_.output;
    in_place_ = out.type == Type::float32 && call_.value_dim == size_.value_dim;  // sums are made where they are wanted
    output_ = in_place_ ? static_cast<float*>(out.data) + batch_ * out.batch + head_ * out.head +
                              block_.row_start * out.row
                        : output_copy_;
    stride_ = in_place_ ? out.row : size_.value_dim;
  }

  void clear_output(Index first, Index count) {
    for (Index r = first; r < first + count; ++r) std::memset(output_ + r * stride_, 0, sizeof(float) * size_.value_dim);
  }

  void begin_rows(Index first) {
    for (Index r = first; r < first + height(first); ++r) {
      largest_[r] = -INFINITE, sums_[r] = 0;
      if (softmax_) continue;
      const Index row = block_.row_start + r;
      const float count = float(count_seen(call_, *block_.sequence, batch_, head_, row));
      call_.statistics[plane() + row] = call_.normalizer == Normalizer::relu ? 1 / count : LOG2E * __builtin_logf(count);
    }
  }

  // 0, or NaN in some lane where the output is not finite.
  Vector end_output(Index first) {
    Vector spoilt{};
    float scales[LANES], *const statistics = call_.statistics + plane() + block_.row_start;
    const Index stride = stride_, value_dim = size_.value_dim;
    for (Index some = first; some < first + height(first); some += LANES) {
      const Index stop = min(some + LANES, first + height(first));
      if (softmax_) {
        const Vector total = load(sums_ + some), none = splat(INFINITE);
        store(scales, total == Vector{} ? Vector{} : splat(1.f) / total);
        float found[LANES];
        store(found, total == Vector{} ? none : load(largest_ + some) + logarithm(total));
        std::memcpy(statistics + some, found, sizeof(float) * (stop - some));
      }
      for (Index r = some; r < stop; ++r) {
        const Vector scale = splat(softmax_ ? scales[r - some] : 1.f);
        float* row = output_ + r * stride;
        for (Index d = 0; d < value_dim; d += LANES) {
          const Vector x = load(row + d) * scale;
          spoilt += x * splat(0.f);
          store(row + d, x);
        }
      }
    }
    if (!in_place_)
      put_rows({output_ + first * stride_, stride_}, height(first), call_.value_dim, call_.output, batch_, head_,
               block_.row_start + first);
    return spoilt;
  }

  // Raw scores of up to TALL rows, and the columns that they stand in.
  Span score(const Area& area, Index r) {
    const Index tiles = (height(r) + HIGH - 1) / HIGH;
    Span columns{area.keys(), 0};
    for (Index t = 0; t < tiles; ++t) {
      const Span seen = seen_by_tile_[t] = tile_span(area, r, t);
      if (seen.low < seen.high)
        columns = {min(columns.low, seen.low / WIDE * WIDE), max(columns.high, round_up(seen.high, WIDE))};
    }
    pack(area, columns.high);
    asked_for_ = max(asked_for_, packed_);
    const Index panels = (columns.high - columns.low) / WIDE;
    const Rows asking = easy_ ? query_as_exponentials_ : query_;
    for (Index p = 0; p < panels; ++p) {
      const Index k = columns.low + p * WIDE;
      prefetch(area, r + TALL + p * TALL / panels, r + TALL + (p + 1) * TALL / panels);
      for (Index t = 0; t < tiles; ++t) {
        const Span seen = seen_by_tile_[t];
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
  void weigh_so_far(const Area& area, Index first) {
    for (Index some = first; some < first + height(first); some += LANES)
      weigh_some(area, first, some, min(some + LANES, first + height(first)));
  }

  // Rows [low, high), a lane for each, of those from `first` on.
  void weigh_some(const Area& area, Index first, Index low, Index high) {
    const auto scores_of = [&](Index r) { return scores_ + (r - first) * size_.keys; };
    const float scale = late_scale(call_);
    Vector lanes[LANES];
    Span wholes[LANES];
    for (Vector& lane : lanes) lane = splat(-INFINITE);
    for (Index r = low; r < high; ++r) {
      const Span span = span_of(area, block_.row_start + r), whole = wholes[r - low] = whole_vectors(span);
      if (pairs_ && !scaled_late(call_)) multiply(scores_of(r), whole, call_.scale * log2_factor(call_));
      hide(area, block_.row_start + r, span, scores_of(r));
      if (softmax_) lanes[r - low] = largest_scores(whole.low, whole.high, scores_of(r));
    }
    const Vector before = load(largest_ + low);
    const Vector here = joined(lanes, [](Vector a, Vector b) { return max(a, b); }) * splat(scale);
    const Vector most = here > before ? here : before;
    float bases[LANES];
    store(bases, most == splat(-INFINITE) ? Vector{} : most);
    for (Vector& lane : lanes) lane = Vector{};
    for (Index r = low; r < high; ++r) {
      const Index row = block_.row_start + r;
      float* scores = scores_of(r);
      const Span whole = wholes[r - low], mixed = whole_vectors(mixed_keys((r - first) / HIGH));
      if (softmax_)
        lanes[r - low] = raise(whole.low, whole.high, scale, bases[r - low], scores);
      else
        weigh(call_.normalizer, scale, call_.statistics[plane() + row], whole.low, whole.high, scores, scores);
      if (call_.dropout > 0) drop(area, row, whole.low, whole.high, scores);
      clear_outside(whole, mixed.low, mixed.high, scores);
    }
    if (!softmax_) return;
    if (area.key_start > first_key_) shrink_to(most, low, high);
    store(largest_ + low, most);
    store(sums_ + low, load(sums_ + low) + joined(lanes, [](Vector a, Vector b) { return a + b; }));
  }

  // What rows [low, high) have seen so far, where their largest score is now larger.
  void shrink_to(Vector most, Index low, Index high) {
    for (Index r = low; r < high; ++r) {
      if (!(most[r - low] > largest_[r]) || sums_[r] == 0) continue;
      const float shrink = __builtin_exp2f(largest_[r] - most[r - low]);
      sums_[r] *= shrink;
      for (Index d = 0; d < size_.value_dim; ++d) output_[r * stride_ + d] *= shrink;
    }
  }

  // Adds weights @ value to the output.
  void mix(const Area& area, Index r) {
    const bool is_first = area.key_start == first_key_;  // nothing is there to be added to
    if (careful_) {
      if (is_first) clear_output(r, height(r));
      return mix_carefully(area, r);
    }
    for (Index m = 0; pairs_ && m < height(r); ++m) {
      const Span keys = mixed_keys(m / HIGH);
      narrow(scores_ + m * size_.keys, keys.low, keys.high, 1, narrowed_ + m * size_.keys / 2);
    }
    const Index part = pairs_ ? 2 : 1;
    for (Index t = 0; t * HIGH < height(r); ++t) {
      const Span keys = mixed_keys(t);
      if (is_first && keys.low >= keys.high) clear_output(r + t * HIGH, tile_height(r, t));
    }
    for (Index column = 0; column < size_.value_dim; column += WIDE)
      for (Index t = 0; t * HIGH < height(r); ++t) {
        const Span keys = mixed_keys(t);
        for (Index k = keys.low; k < keys.high; k += SUMMED)
          product(pairs_, tile_height(r, t), (pairs_ ? narrowed_ : scores_) + (t * HIGH * size_.keys + k) / part,
                  size_.keys / part, 1,
                  panels_.value + column / WIDE * panels_.value_across + k / part * panels_.value_row,
                  panels_.value_row, 0, output_ + (r + t * HIGH) * stride_ + column, stride_,
                  min(WIDE, size_.value_dim - column), (min(k + SUMMED, keys.high) - k) / part,
                  !(is_first && k == keys.low));
      }
  }
  // Whole pairs: the weights beyond the span are 0.
  Span mixed_keys(Index tile) const {
    const Span seen = seen_by_tile_[tile];
    return pairs_ && seen.low < seen.high ? Span{seen.low / 2 * 2, round_up(seen.high, 2)} : seen;
  }

  // What is hidden is never multiplied, for 0 times NaN is NaN.
  void mix_carefully(const Area& area, Index r) {
    const auto value = [&](Index k, Index d) {
      const float* panel = panels_.value + d / WIDE * panels_.value_across + d % WIDE;
      if (!pairs_) return panel[k * panels_.value_row];
      const std::uint32_t bits = bits_of(panel[k / 2 * panels_.value_row]);
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
  Span seen_by_tile_[TALL / HIGH];  // of those keys that are at hand, by the rows that score() took

  Index head_ = 0;
  const float* weight_ = nullptr;
  Rows query_{}, query_as_exponentials_{};
  float query_size_ = 0;
  Index packed_ = 0, asked_for_ = 0;  // keys: as panels, on their way
  Panels own_{}, panels_{};           // of the keys at hand: panels_ are used
  bool easy_ = false, in_place_ = false, values_in_place_ = false, careful_ = false;
  float* output_ = nullptr;
  Index stride_ = 0;
};

}  // namespace regard::REGARD_ISA
