// Forward: blocks of rows against chunks of keys, with what a row has seen so far scaled anew where its largest score
// grows (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"). A window that fits one chunk needs
// no such step. Scores stand as [keys][rows]: rows are lanes, and what is done to a key is done to many rows at once.
#pragma once

#include "forward_keys.h"
#include "scores.h"

namespace regard::REGARD_ISA {

// One block of rows, for all query heads that share a key head.
class ForwardBlock {
 public:
  ForwardBlock(const Call& call, const ForwardSizes& size, const RowBlock& block, Index batch, Index key_head)
      : call_(call), size_(size), block_(block), batch_(batch), key_head_(key_head),
        softmax_(call.normalizer == Normalizer::softmax), pairs_(in_pairs(call)),
        depth_(pairs_ ? (call.dim + 1) / 2 : call.dim), rows_(block.row_stop - block.row_start),
        keys_(call, size, batch, key_head) {
    scratch().lay_out([&](Scratch& memory) {
      keys_.lay_out(memory);
      query_copy_ = memory.take(size.rows * size.dim);
      query_doubled_ = memory.take(call.additive ? size.rows * size.dim : 0);
      query_panels_ = memory.take(TALL * size.dim);
      output_copy_ = memory.take(size.rows * size.value_dim);
      largest_ = memory.take(size.rows + TALL);
      sums_ = memory.take(size.rows + TALL);
      scores_ = memory.take(TALL * size.columns);
      narrowed_ = memory.take(pairs_ ? TALL * size.columns / 2 : 0);
      hiding_ = memory.take(size.keys);
      hashes_ = memory.take<std::int32_t>(size.keys);
      by_distance_ = memory.take(size.rows + size.keys + LANES);
      by_row_ = memory.take(size.rows + size.keys + TALL);
      lows_ = memory.take<std::int32_t>(size.rows + LANES);
      highs_ = memory.take<std::int32_t>(size.rows + LANES);
    });
    first_key_ = seen_by(call, *block.sequence, block.row_start).low;
    last_key_ = seen_by(call, *block.sequence, block.row_stop - 1).high;
    for (Index r = 0; r < rows_ + LANES; ++r) {
      const Span seen = seen_by(call, *block.sequence, min(block.row_start + r, block.row_stop - 1));
      lows_[r] = std::int32_t(seen.low - first_key_), highs_[r] = std::int32_t(seen.high - first_key_);
    }
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

  // The weights themselves: [B, H, Q, width] or [T, H, width], in a truncated window as a band whose first column is the
  // furthest key to the left. Those of rows whose keys are all at hand at once need no statistics, which attend() leaves.
  void put_weights(float* band, Index width) {
    const Index groups = call_.heads / call_.key_heads;
    const bool at_once = softmax_ && last_key_ - first_key_ <= size_.keys;
    if (!at_once) attend();
    for (Index group = 0; group < groups; ++group) {
      take_query(key_head_ * groups + group);
      for (Index start = first_key_; start < last_key_; start += size_.keys) {
        const Area area = area_from(start);
        begin_keys(area);
        take_head(area);
        for (Index r = 0; r < rows_; r += TALL) {
          if (!score(area, r)) continue;
          for (Index v = 0; v < vectors(r); ++v) {
            const Span seen = hide(area, r, v);
            at_once ? weigh_at_once(seen, v) : weigh(r, v, seen);
            if (call_.dropout > 0) drop(area, r, v, seen);
          }
          for (Index m = 0; m < height(r); ++m) put_weights_of_row(area, r, m, band, width);
        }
      }
    }
  }

 private:
  // All rows of a head; true if the output is finite.
  bool attend_all(bool take_new_keys) {
    Vector spoilt{};
    Index start = first_key_;
    do {
      const Area area = area_from(start);
      if (take_new_keys) begin_keys(area);
      take_head(area);
      for (Index r = 0; r < rows_; r += TALL) {
        if (start == first_key_) begin_rows(r);
        if (score(area, r)) {
          for (Index v = 0; v < vectors(r); ++v) weigh_so_far(area, r, v);
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

  Index height(Index r) const { return min(TALL, rows_ - r); }
  Index vectors(Index r) const { return (height(r) + LANES - 1) / LANES; }
  Index plane() const { return (batch_ * call_.heads + head_) * call_.rows; }
  // The keys of an area that some of rows [first, stop) see: both limits rise with the row.
  Span seen_by_rows(const Area& area, Index first, Index stop) const {
    return within({first_key_ + lows_[first], first_key_ + highs_[stop - 1]}, area.key_start, area.key_stop);
  }
  float* scores_of(Index key, Index v) const { return scores_ + (key - columns_.low) * TALL + v * LANES; }

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
    return {call_,
            *block_.sequence,
            batch_,
            head_,
            block_.row_start,
            block_.row_stop,
            start,
            min(start + size_.keys, last_key_),
            hiding_,
            by_distance_,
            hashes_};
  }

  void begin_keys(const Area& area) {
    prepare_keys(area);
    keys_.begin(area);
    if (!weight_) return;
    keys_.take(area, area.keys());  // whether all are small decides how their scores are made
    easy_ = call_.dim >= 4 && query_size_ + keys_.most_magnitude() < EASY;
    if (easy_) keys_.double_exponentials();
  }
  void take_head(const Area& area) {
    prepare_head(area);
    const Index all = area.rows() + area.keys() - 1;
    for (Index n = 0; call_.table && n < all; ++n) by_row_[n] = by_distance_[all - 1 - n];
  }

  void place_output() {
    const Array& out = call_.output;
    in_place_ = out.type == Type::float32 && call_.value_dim == size_.value_dim;  // sums are made where they are wanted
    output_ = in_place_
                  ? static_cast<float*>(out.data) + batch_ * out.batch + head_ * out.head + block_.row_start * out.row
                  : output_copy_;
    stride_ = in_place_ ? out.row : size_.value_dim;
  }

  void clear_output(Index first, Index count) {
    for (Index r = first; r < first + count; ++r)
      std::memset(output_ + r * stride_, 0, sizeof(float) * size_.value_dim);
  }

  void begin_rows(Index first) {
    for (Index r = first; r < first + height(first); ++r) {
      largest_[r] = -INFINITE, sums_[r] = 0;
      if (softmax_ || call_.part) continue;
      const Index row = block_.row_start + r;
      const float count = float(count_seen(call_, *block_.sequence, batch_, head_, row));
      call_.statistics[plane() + row] =
          call_.normalizer == Normalizer::relu ? 1 / count : LOG2E * __builtin_logf(count);
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
        Vector by_row{};  // sums of sums: a single one would be waited for
        for (Index d = 0; d < value_dim; d += LANES) {
          const Vector x = load(row + d) * scale;
          by_row += x * splat(0.f);
          store(row + d, x);
        }
        spoilt += by_row;
      }
    }
    if (!in_place_)
      put_rows({output_ + first * stride_, stride_}, height(first), call_.value_dim, call_.output, batch_, head_,
               block_.row_start + first);
    return spoilt;
  }

  // Raw scores of up to TALL rows in columns_; false if they see nothing of the area.
  bool score(const Area& area, Index r) {
    columns_ = in_whole_pairs(seen_by_rows(area, r, r + height(r)));
    if (columns_.low >= columns_.high) return false;
    const Index keys = min(columns_.high, area.keys());
    keys_.take(area, keys);
    const Rows query = easy_ ? query_as_exponentials_ : query_, asking{query.data + r * query.stride, query.stride};
    if (pairs_)
      by_rows<true, false>(asking, height(r), depth_, 1, query_panels_);
    else
      by_rows<false, false>(asking, height(r), call_.dim, weight_ ? 1 : call_.scale * log2_factor(call_),
                            query_panels_);
    for (Index v = 0; v < vectors(r); ++v)
      seen_by_lanes_[v] = seen_by_rows(area, r + v * LANES, min(r + (v + 1) * LANES, rows_));
    const Index below = block_.row_start + r + TALL, following = max(0, min(TALL, block_.sequence->row_stop - below));
    Wanted next_query(call_.query, batch_, head_, below, call_.dim);
    Index asked_for = 0;
    Index first = 0, stop = 0;  // vectors of rows that see the keys at hand
    for (Index k = columns_.low, next; k < keys; k = next) {
      while (stop < vectors(r) && seen_by_lanes_[stop].low <= k) ++stop;
      while (first < stop && seen_by_lanes_[first].high <= k) ++first;  // some see nothing here
      next = min(k + HIGH, stop < vectors(r) ? min(keys, seen_by_lanes_[stop].low) : keys);
      if (first < stop) next = min(next, seen_by_lanes_[first].high);
      const Index share = (next - columns_.low) * TALL / (keys - columns_.low) - asked_for;
      next_query.ask(min(share, following - asked_for));
      keys_.prefetch(area, share);
      asked_for += share;
      for (Index v = first, beyond; v < stop; v = beyond) {
        beyond = min(v / ACROSS * ACROSS + ACROSS, stop);
        score_tile(k, next - k, v, beyond);
      }
    }
    return true;
  }
  // Of keys [k, k + high) and of vectors of rows [v, stop), which are of one panel.
  void score_tile(Index k, Index high, Index v, Index stop) {
    const float* key = keys_.key.data + k * keys_.key.stride;
    const float* panel = query_panels_ + v / ACROSS * WIDE * depth_ + v % ACROSS * LANES;
    if (weight_)
      additive_scores((stop - v) * LANES, high, key, keys_.key.stride, panel, call_.dim, weight_, log2_factor(call_),
                      easy_, scores_of(k, v), TALL);
    else
      product(pairs_, high, key, keys_.key.stride, 1, panel, WIDE, 0, scores_of(k, v), TALL, (stop - v) * LANES, depth_,
              false);
  }
  Span in_whole_pairs(Span keys) const {
    return pairs_ && keys.low < keys.high ? Span{keys.low / 2 * 2, round_up(keys.high, 2)} : keys;
  }

  // The keys that a vector of rows sees; scores become -inf where a row does not see, and the bias is added.
  Span hide(const Area& area, Index r, Index v) {
    const Span seen = seen_by_lanes_[v];
    if (pairs_ && !scaled_late(call_))
      for (Index k = seen.low; k < seen.high; ++k)
        store(scores_of(k, v), load(scores_of(k, v)) * splat(call_.scale * log2_factor(call_)));
    if (call_.table || call_.key_mask) add_bias(area, r, v, seen);
    const Integers low = in_area(area, lows_ + r + v * LANES), high = in_area(area, highs_ + r + v * LANES);
    const auto hide_from_some = [&](Index first, Index stop) {
      for (Index k = first; k < stop; ++k) {
        const Integers key = Integers{} + int(k);
        store(scores_of(k, v), (low <= key) & (key < high) ? load(scores_of(k, v)) : splat(-INFINITE));
      }
    };
    const Index all_see = min(low[LANES - 1], seen.high), no_more = max(all_see, high[0]);
    hide_from_some(seen.low, all_see);
    hide_from_some(no_more, seen.high);
    return seen;
  }
  Integers in_area(const Area& area, const std::int32_t* limits) const {
    Integers x;
    std::memcpy(&x, limits, sizeof x);
    const Integers start = Integers{} + int(area.key_start - first_key_);
    const Integers stop = Integers{} + int(area.key_stop - first_key_);
    return (x < start ? start : x > stop ? stop : x) - start;
  }
  REGARD_NOINLINE void add_bias(const Area& area, Index r, Index v, Span seen) {
    for (Index k = seen.low; k < seen.high; ++k) {
      Vector x = load(scores_of(k, v));
      if (call_.table) {
        const Vector bias = load(by_row_ + area.keys() - 1 - k + r + v * LANES);
        x = bias == splat(-INFINITE) ? bias : x + bias;  // hides a score that is NaN too
      }
      store(scores_of(k, v), call_.key_mask ? x + splat(hiding_[k]) : x);
    }
  }

  // Scores of a vector of rows to weights: under softmax not yet divided by their sum, and the output made to fit.
  void weigh_so_far(const Area& area, Index r, Index v) {
    const Index first = r + v * LANES;
    const Span seen = hide(area, r, v);
    if (softmax_) {
      const Vector scale = splat(late_scale(call_)), before = load(largest_ + first);
      const Vector here = largest_scores(scores_of(seen.low, v), seen.high - seen.low) * scale;
      const Vector most = here > before ? here : before, base = most == splat(-INFINITE) ? Vector{} : most;
      const Vector total = raise(scores_of(seen.low, v), seen.high - seen.low, scale, base);
      if (area.key_start > first_key_) shrink_to(most, first, min(first + LANES, rows_));
      store(largest_ + first, most);
      store(sums_ + first, load(sums_ + first) + total);
    } else {
      weigh(r, v, seen);
    }
    if (call_.dropout > 0) drop(area, r, v, seen);
    // What a tile of mix() reads beside: it may begin and end with rows of other vectors.
    for (Index k = max(columns_.low, seen.low - BESIDE); k < seen.low; ++k) store(scores_of(k, v), Vector{});
    for (Index k = seen.high; k < min(columns_.high, seen.high + BESIDE); ++k) store(scores_of(k, v), Vector{});
  }

  // The largest of a column of scores, in each lane.
  static Vector largest_scores(const float* scores, Index count) {
    Vector most = splat(-INFINITE), more = most;
    const float* const stop = scores + count / 2 * 2 * TALL;
    for (; scores < stop; scores += 2 * TALL) {
      most = max(load(scores), most);
      more = max(load(scores + TALL), more);
    }
    if (count % 2) most = max(load(scores), most);
    return max(most, more);
  }
  // A column of scores to 2^(scale * score - base), and their sum in each lane.
  static Vector raise(float* scores, Index count, Vector scale, Vector base) {
    Vector total{};
    for (const float* const stop = scores + count * TALL; scores < stop; scores += TALL) {
      const Vector power = power_of_two(load(scores) * scale - base);
      store(scores, power);
      total += power;
    }
    return total;
  }

  // Scores of a vector of rows to weights under softmax, where all that these rows see is at hand.
  void weigh_at_once(Span seen, Index v) {
    const Index count = seen.high - seen.low;
    const Vector scale = splat(late_scale(call_)), most = largest_scores(scores_of(seen.low, v), count) * scale;
    const Vector total = raise(scores_of(seen.low, v), count, scale, most == splat(-INFINITE) ? Vector{} : most);
    const Vector share = total > Vector{} ? splat(1) / total : Vector{};
    float* row = scores_of(seen.low, v);
    for (Index k = seen.low; k < seen.high; ++k, row += TALL) store(row, load(row) * share);
  }

  // Scores to weights by the statistics of their rows.
  void weigh(Index r, Index v, Span seen) {
    float statistics[LANES]{};
    const Index first = r + v * LANES, count = min(LANES, rows_ - first);
    std::memcpy(statistics, call_.statistics + plane() + block_.row_start + first, sizeof(float) * count);
    const Vector scale = splat(late_scale(call_)), statistic = load(statistics);
    float* row = scores_of(seen.low, v);
    for (Index k = seen.low; k < seen.high; ++k, row += TALL)
      store(row, weight_of(call_.normalizer, load(row) * scale, statistic));
  }

  REGARD_NOINLINE void drop(const Area& area, Index r, Index v, Span seen) {
    const Dropout dropout(area);
    Integers rows;
    for (int lane = 0; lane < LANES; ++lane) rows[lane] = dropout.hash_of(block_.row_start + r + v * LANES + lane);
    float* row = scores_of(seen.low, v);
    for (Index k = seen.low; k < seen.high; ++k, row += TALL) store(row, dropout(rows ^ hashes_[k], load(row)));
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
    const Index part = pairs_ ? 2 : 1, stop = r + height(r);
    const Rows value = keys_.value;
    if (pairs_)
      for (Index k = 0; k < columns_.high - columns_.low; k += 2)
        pair_up(scores_ + k * TALL, scores_ + (k + 1) * TALL, vectors(r) * LANES, narrowed_ + k / 2 * TALL);
    for (Index column = 0; column < size_.value_dim; column += WIDE)
      for (Index row = r; row < stop; row += HIGH) {
        const Index high = min(HIGH, stop - row);
        const Span keys = in_whole_pairs(seen_by_rows(area, row, row + high));
        if (is_first && keys.low >= keys.high) clear_output(row, high);
        for (Index k = keys.low; k < keys.high; k += SUMMED)
          product(pairs_, high, (pairs_ ? narrowed_ : scores_) + (k - columns_.low) / part * TALL + row - r, 1, TALL,
                  value.data + k / part * value.stride + column, value.stride, 0, output_ + row * stride_ + column,
                  stride_, min(WIDE, size_.value_dim - column), (min(k + SUMMED, keys.high) - k) / part,
                  !(is_first && k == keys.low));
      }
  }

  // What is hidden is never multiplied, for 0 times NaN is NaN.
  void mix_carefully(const Area& area, Index r) {
    const auto value = [&](Index k, Index d) {
      const float x = keys_.value.data[k / (pairs_ ? 2 : 1) * keys_.value.stride + d];
      return !pairs_ ? x : float_of(k % 2 ? bits_of(x) & 0xFFFF0000u : bits_of(x) << 16);
    };
    for (Index row = r; row < r + height(r); ++row) {
      const Span span = seen_by_rows(area, row, row + 1);
      for (Index k = span.low; k < span.high; ++k)
        for (Index d = 0; d < call_.value_dim && area.sees(block_.row_start + row, k); ++d)
          output_[row * stride_ + d] += scores_of(k, 0)[row - r] * value(k, d);
    }
  }

  void put_weights_of_row(const Area& area, Index r, Index m, float* band, Index width) const {
    const Index row = block_.row_start + r + m;
    const Index position = row - block_.sequence->row_start + call_.query_start;
    const Index first = call_.left >= 0 && call_.right >= 0 ? position - call_.left : 0;
    const Index place = call_.ragged ? row * call_.heads + head_ : plane() + row;
    const Span span = seen_by_rows(area, r + m, r + m + 1);
    float* to = band + place * width + (area.key_start - block_.sequence->key_start) - first;
    for (Index k = span.low; k < span.high; ++k) to[k] = scores_of(k, 0)[m];
  }

  const Call& call_;
  const ForwardSizes& size_;
  const RowBlock& block_;
  const Index batch_, key_head_;
  const bool softmax_, pairs_;
  const Index depth_;  // of a product of queries and keys
  const Index rows_;
  KeysAtHand keys_;
  Index first_key_, last_key_;
  float *query_copy_, *query_doubled_, *query_panels_, *output_copy_, *largest_, *sums_;
  float *scores_, *narrowed_, *hiding_, *by_distance_;
  float* by_row_;  // by_distance_ the other way round: what is added to a key's scores rises with the row
  std::int32_t* hashes_;
  std::int32_t *lows_, *highs_;  // what each row sees of all keys, from first_key_ on

  Index head_ = 0;
  const float* weight_ = nullptr;
  Rows query_{}, query_as_exponentials_{};
  float query_size_ = 0;
  Span columns_{};  // keys of the area whose scores are at hand, of the rows that score() took
  Span seen_by_lanes_[TALL / LANES];  // of these, by each vector of rows
  bool easy_ = false, in_place_ = false, careful_ = false;
  float* output_ = nullptr;
  Index stride_ = 0;
};

}  // namespace regard::REGARD_ISA
