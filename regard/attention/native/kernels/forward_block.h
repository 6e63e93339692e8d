// Forward: blocks of rows against chunks of keys, with what a row has seen so far scaled anew where its largest score
// grows (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"). A window that fits one chunk needs
// no such step. Scores stand as [keys][rows]: rows are lanes, and what is done to a key is done to many rows at once.
#pragma once

#include "forward_columns.h"
#include "forward_keys.h"
#include "scores.h"
#include "seen_keys.h"

namespace regard::REGARD_ISA {

// One block of rows, for all query heads that share a key head.
class ForwardBlock {
 public:
  ForwardBlock(const Call& call, const ForwardSizes& size, const RowBlock& block, Index batch, Index key_head)
      : call_(call), size_(size), block_(block), batch_(batch), key_head_(key_head),
        softmax_(call.normalizer == Normalizer::softmax), pairs_(in_pairs(call)),
        plain_(!call.additive && !call.table && !call.key_mask && (!pairs_ || scaled_late(call))),
        depth_(pairs_ ? (call.dim + 1) / 2 : call.dim), rows_(block.row_stop - block.row_start),
        keys_(call, size, batch, key_head), seen_(call, block) {
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
      seen_.lay_out(memory, size.rows);
    });
    seen_.fill();
  }

  void attend() {
    const Index groups = call_.heads / call_.key_heads;
    const bool keys_serve_all = seen_.last - seen_.first <= size_.keys && !call_.additive;
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
    const bool at_once = softmax_ && seen_.last - seen_.first <= size_.keys;
    if (!at_once) attend();
    for (Index group = 0; group < groups; ++group) {
      take_query(key_head_ * groups + group);
      for (Index start = seen_.first; start < seen_.last; start += size_.keys) {
        const Area area = area_from(start);
        begin_keys(area);
        take_head(area);
        for (Index r = 0; r < rows_; r += TALL) {
          if (!score(area, r, false)) continue;
          for (Index v = 0; v < vectors(r); ++v) {
            const Span seen = hide_unseen(area, r, v);
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
    Index start = seen_.first;
    do {
      const Area area = area_from(start);
      if (take_new_keys) begin_keys(area);
      take_head(area);
      for (Index r = 0; r < rows_; r += TALL) {
        if (start == seen_.first) begin_rows(r);
        if (score(area, r, true)) {
          for (Index v = 0; v < vectors(r); ++v) weigh_so_far(area, r, v);
          mix(area, r);
        } else if (start == seen_.first) {
          clear_output(r, height(r));
        }
        if (start + size_.keys >= seen_.last) spoilt += end_output(r);
      }
      start += size_.keys;
    } while (start < seen_.last);
    return sum(spoilt) == 0;
  }

  Index height(Index r) const { return min(TALL, rows_ - r); }
  Index vectors(Index r) const { return (height(r) + LANES - 1) / LANES; }
  Index plane() const { return (batch_ * call_.heads + head_) * call_.rows; }
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
            min(start + size_.keys, seen_.last),
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

  // Raw scores of up to TALL rows in columns_; false if they see nothing of the area. Where a window slides, the first keys
  // that a vector of rows sees are seen by the lanes that do not see its last ones. They may be folded onto these: then a
  // lane has as many scores as its row sees keys, with the largest of them in most_, and unfold() brings them apart.
  bool score(const Area& area, Index r, bool may_fold) {
    columns_ = in_whole_pairs(seen_.by_rows(area, r, r + height(r)));
    if (columns_.low >= columns_.high) return false;
    const Index keys = min(columns_.high, area.keys());
    keys_.take(area, keys);
    const Rows query = easy_ ? query_as_exponentials_ : query_, asking{query.data + r * query.stride, query.stride};
    if (pairs_)
      by_rows<true, false>(asking, height(r), depth_, 1, query_panels_);
    else
      by_rows<false, false>(asking, height(r), call_.dim, weight_ ? 1 : call_.scale * log2_factor(call_),
                            query_panels_);
    folded_ = FOLDS && may_fold && plain_ && height(r) == TALL && seen_.slides(area, r, r + TALL, FOLDED);
    for (Index v = 0; v < vectors(r); ++v) {
      const Span seen = seen_by_lanes_[v] = seen_.by_rows(area, r + v * LANES, min(r + (v + 1) * LANES, rows_));
      scored_[v] = {folded_ ? seen.low + LANES - 1 : seen.low, seen.high};
      // One key before those that are folded makes them LANES, if there is one.
      folds_from_[v] = folded_ ? seen.high - LANES + (seen.low == 0) : seen.high;
      most_[v] = splat(-INFINITE);
    }
    const Index below = block_.row_start + r + TALL, following = max(0, min(TALL, block_.sequence->row_stop - below));
    Wanted next_query(call_.query, batch_, head_, below, call_.dim);
    Index asked_for = 0;
    Index first = 0, stop = 0;  // vectors of rows that see the keys at hand
    for (Index k = columns_.low, next; k < keys; k = next) {
      while (stop < vectors(r) && scored_[stop].low <= k) ++stop;
      while (first < stop && scored_[first].high <= k) ++first;  // some see nothing here
      next = min(k + (folded_ ? high_of(stop - first) : HIGH), stop < vectors(r) ? min(keys, scored_[stop].low) : keys);
      if (first < stop) next = min(next, k < folds_from_[first] ? folds_from_[first] : scored_[first].high);
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
    const Index stride = keys_.key.stride, columns = (stop - v) * LANES;
    const float* key = keys_.key.data + k * stride;
    const float* panel = query_panels_ + v / ACROSS * WIDE * depth_ + v % ACROSS * LANES;
    if (folded_) {
      const Index first = k - (scored_[v].high - scored_[v].low);  // that is folded onto k
      const Folding folding{reinterpret_cast<float*>(most_ + v), keys_.key.data + first * stride,
                            first - seen_by_lanes_[v].low + 1};
      product_of_scores(pairs_, k >= folds_from_[v], high, key, stride, panel, scores_of(k, v), TALL, columns, depth_,
                        folding);
    } else if (weight_) {
      additive_scores(columns, high, key, stride, panel, call_.dim, weight_, log2_factor(call_), easy_, scores_of(k, v),
                      TALL);
    } else {
      product(pairs_, high, key, stride, 1, panel, WIDE, 0, scores_of(k, v), TALL, columns, depth_, false);
    }
  }

  Span in_whole_pairs(Span keys) const {
    return pairs_ && keys.low < keys.high ? Span{keys.low / 2 * 2, round_up(keys.high, 2)} : keys;
  }

  // The keys that a vector of rows sees; scores become -inf where a row does not see, and the bias is added.
  Span hide_unseen(const Area& area, Index r, Index v) {
    const Span seen = seen_by_lanes_[v];
    if (pairs_ && !scaled_late(call_))
      for (Index k = seen.low; k < seen.high; ++k)
        store(scores_of(k, v), load(scores_of(k, v)) * splat(call_.scale * log2_factor(call_)));
    if (call_.table || call_.key_mask) add_bias(area, r, v, seen);
    const Integers low = seen_.lows(area, r + v * LANES), high = seen_.highs(area, r + v * LANES);
    const Index all_see = min(low[LANES - 1], seen.high), no_more = max(all_see, high[0]);
    hide(scores_of(seen.low, v), seen.low, all_see, low, high);
    hide(scores_of(no_more, v), no_more, seen.high, low, high);
    return seen;
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
    const Span scored = folded_ ? scored_[v] : hide_unseen(area, r, v), seen = seen_by_lanes_[v];
    const Index count = scored.high - scored.low;
    if (softmax_) {
      const Vector scale = splat(late_scale(call_)), before = load(largest_ + first);
      const Vector here = (folded_ ? most_[v] : largest_scores(scores_of(scored.low, v), count)) * scale;
      const Vector most = here > before ? here : before, base = most == splat(-INFINITE) ? Vector{} : most;
      const Vector total = raise(scores_of(scored.low, v), count, scale, base);
      if (area.key_start > seen_.first) shrink_to(most, first, min(first + LANES, rows_));
      store(largest_ + first, most);
      store(sums_ + first, load(sums_ + first) + total);
    } else {
      weigh(r, v, scored);
    }
    if (folded_) unfold(scores_of(seen.low, v), scores_of(seen.high - (LANES - 1), v));
    if (call_.dropout > 0) drop(area, r, v, seen);
    // What a tile of mix() reads beside: it may begin and end with rows of other vectors.
    for (Index k = max(columns_.low, seen.low - BESIDE); k < seen.low; ++k) store(scores_of(k, v), Vector{});
    for (Index k = seen.high; k < min(columns_.high, seen.high + BESIDE); ++k) store(scores_of(k, v), Vector{});
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
    const bool is_first = area.key_start == seen_.first;  // nothing is there to be added to
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
        const Span keys = in_whole_pairs(seen_.by_rows(area, row, row + high));
        if (is_first && keys.low >= keys.high) clear_output(row, high);
        const Index begun_by = is_first ? keys.low : -1;
        for (Index k = keys.low; k < keys.high; k += SUMMED)
          product(pairs_, high, (pairs_ ? narrowed_ : scores_) + (k - columns_.low) / part * TALL + row - r, 1, TALL,
                  value.data + k / part * value.stride + column, value.stride, 0, output_ + row * stride_ + column,
                  stride_, min(WIDE, size_.value_dim - column), (min(k + SUMMED, keys.high) - k) / part, k != begun_by);
      }
  }

  // What is hidden is never multiplied, for 0 times NaN is NaN.
  void mix_carefully(const Area& area, Index r) {
    const auto value = [&](Index k, Index d) {
      const float x = keys_.value.data[k / (pairs_ ? 2 : 1) * keys_.value.stride + d];
      return !pairs_ ? x : float_of(k % 2 ? bits_of(x) & 0xFFFF0000u : bits_of(x) << 16);
    };
    for (Index row = r; row < r + height(r); ++row) {
      const Span span = seen_.by_rows(area, row, row + 1);
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
    const Span span = seen_.by_rows(area, r + m, r + m + 1);
    float* to = band + place * width + (area.key_start - block_.sequence->key_start) - first;
    for (Index k = span.low; k < span.high; ++k) to[k] = scores_of(k, 0)[m];
  }

  const Call& call_;
  const ForwardSizes& size_;
  const RowBlock& block_;
  const Index batch_, key_head_;
  const bool softmax_, pairs_;
  const bool plain_;  // nothing is done to scores before they become weights
  const Index depth_;  // of a product of queries and keys
  const Index rows_;
  KeysAtHand keys_;
  SeenKeys seen_;
  float *query_copy_, *query_doubled_, *query_panels_, *output_copy_, *largest_, *sums_;
  float *scores_, *narrowed_, *hiding_, *by_distance_;
  float* by_row_;  // by_distance_ the other way round: what is added to a key's scores rises with the row
  std::int32_t* hashes_;

  Index head_ = 0;
  const float* weight_ = nullptr;
  Rows query_{}, query_as_exponentials_{};
  float query_size_ = 0;
  Span columns_{};  // keys of the area whose scores are at hand, of the rows that score() took
  Span seen_by_lanes_[TALL / LANES];  // of these, by each vector of rows
  Span scored_[TALL / LANES];  // where their scores stand
  Index folds_from_[TALL / LANES];  // from there on with those of the first keys
  Vector most_[TALL / LANES];
  bool folded_ = false, easy_ = false, in_place_ = false, careful_ = false;
  float* output_ = nullptr;
  Index stride_ = 0;
};

}  // namespace regard::REGARD_ISA
