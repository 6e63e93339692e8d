// Backward of a block of rows: weights again from what forward left, and what they give to every gradient.
#pragma once

#include "row_scores.h"
#include "scores.h"
#include "sums.h"

namespace regard::REGARD_ISA {

struct BackwardSizes {
  static constexpr Index RATIO = 2;  // blocks of keys are turned into panels for each area, which longer rows pay for
  static constexpr Index RUNS = 32;  // of rows, if there are enough of them: all threads shall have some
  Index rows, keys;  // in a block
  Index blocks;  // in a run: what it reads and adds to stays in the cache from area to area
  Index planes;  // of key heads that are worked on at a time
  Index dim, value_dim, width;

  explicit BackwardSizes(const Call& call) {
    dim = round_up(call.dim, LANES), value_dim = round_up(call.value_dim, LANES);
    keys = min(max(24576 / (dim + value_dim), 48), 96) / 48 * 48;
    rows = RATIO * keys;
    width = round_up(keys, WIDE) + WIDE;
    planes = FloatsOfPlanes::planes_at_once(call);
    blocks = max(1, min(all_rows(call) * planes / rows / RUNS, 16));
  }
  Index run_rows() const { return blocks * rows; }
  Index run_keys() const { return blocks * keys; }
};

inline float inner_product(const float* a, const float* b, Span span) {
  Vector total{};
  for (Index k = span.low; k < span.high; k += LANES) {
    const Vector x = load(a + k);
    total += x == Vector{} ? x : x * load(b + k);  // a weight of 0 may be hidden, and NaN with it
  }
  return sum(total);
}

// Slopes of the loss by weights in columns [span] to `scale` times those by scores, and unless `weighed` scores, times
// `late`, to weights.
REGARD_NOINLINE void through_normalizer(Normalizer normalizer, bool weighed, float late, float statistic, float inner,
                                        float scale, Span span, float* weights, float* slopes) {
  const Vector zero{}, one = splat(1.f);
  for (Index k = span.low; k < span.high; k += LANES) {
    const Vector x = load(weights + k), slope = load(slopes + k);
    const Vector weight = weighed ? x : weight_of(normalizer, x * splat(late), splat(statistic));
    Vector by_score;
    if (normalizer == Normalizer::softmax)
      by_score = weight * splat(scale) * (slope - splat(inner));
    else if (normalizer == Normalizer::relu)
      by_score = slope * splat(statistic * scale);
    else
      by_score = slope * splat(scale) * weight * (one - weight);
    if (!weighed) store(weights + k, weight);
    store(slopes + k, weight == zero ? zero : by_score);
  }
}

// One block of rows of one head against blocks of keys, one after another.
class BackwardRows {
 public:
  BackwardRows(const Call& call, const Gradients& out, const AllSums& sums, const BackwardSizes& size,
               const RowBlock& block, Index run, Index batch, Index head)
      : call_(call), out_(out), sums_(sums), size_(size), block_(block), additive_(call.additive != nullptr),
        pairs_(in_pairs(call)), copies_(additive_ || call.dim != size.dim),
        copies_values_(call.value_dim != size.value_dim), run_(run), key_head_(head / (call.heads / call.key_heads)),
        rows_(block.row_stop - block.row_start),
        area_{call, *block.sequence, batch, head, block.row_start, block.row_stop, 0, 0, nullptr, nullptr, nullptr} {
    scratch().lay_out([&](Scratch& memory) {
      query_copy_ = memory.take(size.rows * size.dim);
      query_doubled_ = memory.take(additive_ ? size.rows * size.dim : 0);
      by_query_copy_ = memory.take(copies_ ? size.rows * size.dim : 0);
      grad_copy_ = memory.take(size.rows * size.value_dim);
      key_copy_ = memory.take(size.keys * size.dim);
      key_doubled_ = memory.take(additive_ ? size.keys * size.dim : 0);
      output_copy_ = memory.take(size.rows * size.value_dim);
      by_key_copy_ = memory.take(copies_ ? size.keys * size.dim : 0);
      value_copy_ = memory.take(size.keys * size.value_dim);
      by_value_copy_ = memory.take(copies_values_ ? size.keys * size.value_dim : 0);
      key_panels_ = memory.take(size.width * size.dim);
      value_panels_ = memory.take(size.width * size.value_dim);
      weights_ = memory.take((size.rows + 1) * size.width);
      slopes_ = memory.take((size.rows + 1) * size.width);
      area_.hiding = memory.take(size.width);
      area_.key_hashes = memory.take<std::int32_t>(size.width);
      area_.by_distance = memory.take(size.rows + size.width + LANES);
      by_distance_sums_ = memory.take(size.rows + size.width + LANES);
      weight_ = memory.take(size.dim);
      by_weight_ = memory.take(size.dim);
      spans_ = memory.take<Span>(size.rows);
      if (!pairs_) return;
      query_pairs_ = memory.take((size.rows / 2 + 1) * size.dim);
      grad_pairs_ = memory.take((size.rows / 2 + 1) * size.value_dim);
      key_pairs_ = memory.take((size.keys / 2 + 1) * size.dim);
      weight_pairs_ = memory.take((size.rows / 2 + 1) * size.width);
      slope_pairs_ = memory.take((size.rows / 2 + 1) * size.width);
      narrowed_ = memory.take(HIGH * size.width / 2);
      query_floats_ = memory.take(size.rows * size.dim);
      grad_floats_ = memory.take(size.rows * size.value_dim);
    });
  }

  // Keys of the sequence, whose first stands at a block's start.
  void against(Span keys) {
    take_rows_of_block();
    for (Index key = keys.low; key < keys.high; key += size_.keys) {
      area_.key_start = block_.sequence->key_start + key;
      area_.key_stop = min(area_.key_start + size_.keys, block_.sequence->key_stop);
      keys_ = area_.keys();
      for (Index r = 0; r < rows_; ++r)
        spans_[r] = within(seen_by(call_, *block_.sequence, block_.row_start + r), area_.key_start, area_.key_stop);
      take_keys();
      if (careful_ || additive_) by_query_.begin(), by_key_.begin(), by_value_.begin();
      for (Index r = 0; r < rows_; r += HIGH) {
        prefetch(r, key == keys.low, key + size_.keys < keys.high);
        slopes_of_rows(r);
      }
      by_query_.has_begun = true;
      if (careful_)
        mix_carefully();
      else
        mix();
      if (additive_) through_additive();
      put_keys();
    }
    put_rows_of_block();
  }

 private:
  // A share of what will be wanted next: the following rows, the following keys, and where those of now are added to.
  REGARD_INLINE void prefetch(Index r, bool rows, bool keys) const {
    if (rows) {
      const Index row = area_.row_stop + r, stop = min(row + HIGH, block_.sequence->row_stop);
      Wanted(call_.query, area_.batch, area_.head, row, call_.dim).ask(stop - row);
      Wanted(out_.grad, area_.batch, area_.head, row, call_.value_dim).ask(stop - row);
    }
    const Index first = area_.key_start + r * size_.keys / size_.rows;
    const Index stop = min(area_.key_start + (r + HIGH) * size_.keys / size_.rows, area_.key_stop);
    for (Index key = first; key < stop; ++key) {
      prefetch_sum(sums_.key.at(key_plane(), key), call_.dim);
      prefetch_sum(sums_.value.at(key_plane(), key), call_.value_dim);
    }
    if (keys) {
      const Index next = first + size_.keys, last = min(stop + size_.keys, block_.sequence->key_stop);
      Wanted(call_.key, area_.batch, key_head_, next, call_.dim).ask(last - next);
      Wanted(call_.value, area_.batch, key_head_, next, call_.value_dim).ask(last - next);
    }
  }
  REGARD_INLINE static void prefetch_sum(const float* sum, Index dim) {
    for (Index d = 0; d < dim; d += 16) __builtin_prefetch(sum + d, 1, 2);
  }
  Index key_plane() const { return area_.batch * call_.key_heads + key_head_ - sums_.first; }

  float scale() const { return additive_ ? 1 : call_.scale; }
  Index depth_of(Index dim) const { return pairs_ ? (dim + 1) / 2 : dim; }  // of a panel
  Index plane() const { return area_.batch * call_.heads + area_.head; }
  Index plane_of_sums() const { return plane() - sums_.first * (call_.heads / call_.key_heads); }
  Span span_of(Index r) const { return spans_[r]; }

  void take_keys() {
    prepare_keys(area_);
    prepare_head(area_);
    if (out_.table_parts) std::memset(by_distance_sums_, 0, sizeof(float) * (rows_ + keys_ + LANES));
    begin_keys();
    if (pairs_) {
      const bool* attended = area_.attended();
      key_ = take_row_pairs(call_.key, area_.batch, key_head_, area_.key_start, keys_, call_.dim, attended, key_pairs_);
      const auto panels = [&](const Array& x, Index dim, float* copy, float* to) {
        return by_rows<true>(take_pairs(x, area_.batch, key_head_, area_.key_start, keys_, dim, attended, copy), keys_,
                             depth_of(dim), 1, to);
      };
      const bool finite = panels(call_.key, call_.dim, key_copy_, key_panels_);
      careful_ = !panels(call_.value, call_.value_dim, value_copy_, value_panels_) || !finite || !rows_finite_;
      return;
    }
    key_ =
        take_rows(call_.key, area_.batch, key_head_, area_.key_start, keys_, call_.dim, 1, area_.attended(), key_copy_);
    const Rows value = take_rows(call_.value, area_.batch, key_head_, area_.key_start, keys_, call_.value_dim, 1,
                                 area_.attended(), value_copy_);
    careful_ = !by_rows(value, keys_, call_.value_dim, 1, value_panels_) || !rows_finite_;
    if (additive_) {
      const float key_size = most_magnitude(key_, keys_, size_.dim);
      careful_ |= !(key_size < INFINITE);
      easy_ = call_.dim >= 4 && key_size + query_size_ < EASY;
      asked_ = easy_ ? doubled_exponentials(key_, keys_, size_.dim, key_doubled_) : key_;
      by_rows(asked_, keys_, call_.dim, 1, key_panels_);
    } else {
      careful_ |= !by_rows(key_, keys_, call_.dim, call_.scale * log2_factor(call_), key_panels_);
    }
  }

  void begin_keys() {
    Met& met = sums_.key.met_at(key_plane(), area_.key_start);
    by_key_ = {sums_.key, key_plane(), area_.key_start, keys_, met, size_.dim, copies_ ? by_key_copy_ : nullptr};
    by_value_ = {sums_.value,
                 key_plane(),
                 area_.key_start,
                 keys_,
                 met,
                 size_.value_dim,
                 copies_values_ ? by_value_copy_ : nullptr};
    met = Met::before;
  }

  void take_rows_of_block() {
    if (pairs_) {
      const auto taken = [&](const auto& take, const Array& x, Index dim, auto... rest) {
        return take(x, area_.batch, area_.head, area_.row_start, rows_, dim, nullptr, rest...);
      };
      query_ = taken(take_pairs, call_.query, call_.dim, query_copy_);
      grad_ = taken(take_pairs, out_.grad, call_.value_dim, grad_copy_);
      taken(take_row_pairs, call_.query, call_.dim, query_pairs_);
      taken(take_row_pairs, out_.grad, call_.value_dim, grad_pairs_);
    } else {
      query_ = floats_of(call_.query, call_.dim, query_copy_);
      grad_ = floats_of(out_.grad, call_.value_dim, grad_copy_);
    }
    begin_rows();
    if (!additive_) return;
    std::memset(weight_, 0, sizeof(float) * size_.dim);
    std::memcpy(weight_, call_.additive + area_.head * call_.dim, sizeof(float) * call_.dim);
    std::memset(by_weight_, 0, sizeof(float) * size_.dim);
    query_size_ = most_magnitude(query_, rows_, size_.dim);
    query_as_exponentials_ = doubled_exponentials(query_, rows_, size_.dim, query_doubled_);
  }

  void begin_rows() {
    Met& met = sums_.query.met_at(plane_of_sums(), area_.row_start);
    by_query_ = {
        sums_.query, plane_of_sums(), area_.row_start, rows_, met, size_.dim, copies_ ? by_query_copy_ : nullptr};
    if (met == Met::never) met = (pairs_ ? look_over<true>() : look_over<false>()) ? Met::before : Met::careful;
    rows_finite_ = met == Met::before;
  }
  // True if query and grad are finite. Where a row's keys are in several blocks it makes the row's output . grad, by which
  // under softmax the slopes of its scores sum to zero.
  template <bool pairs>
  bool look_over() const {
    const bool in_several = area_.sequence.key_stop - area_.sequence.key_start > size_.keys;
    if (call_.normalizer == Normalizer::softmax && !call_.part && in_several) {
      const Rows output = pairs ? take_pairs(call_.output, area_.batch, area_.head, area_.row_start, rows_,
                                             call_.value_dim, nullptr, output_copy_)
                                : floats_of(call_.output, call_.value_dim, output_copy_);
      for (Index r = 0; r < rows_; ++r) {
        Vector total{};
        for (Index d = 0; d < depth_of(call_.value_dim); d += LANES) {
          const Vector x = load(output.data + r * output.stride + d), y = load(grad_.data + r * grad_.stride + d);
          total = pairs ? add_products(total, x, y) : total + x * y;
        }
        out_.inner[plane() * call_.rows + area_.row_start + r] = sum(total);
      }
    }
    return all_finite<pairs>(grad_, rows_, depth_of(call_.value_dim)) &&
           all_finite<pairs>(query_, rows_, depth_of(call_.dim));
  }

  Rows floats_of(const Array& x, Index dim, float* copy) const {
    return take_rows(x, area_.batch, area_.head, area_.row_start, rows_, dim, 1, nullptr, copy);
  }
  Rows asking() const { return easy_ ? query_as_exponentials_ : query_; }

  // Weights and slopes of up to HIGH rows, and what the slopes give to their queries.
  void slopes_of_rows(Index r) {
    const Index high = min(HIGH, rows_ - r), width = size_.width, all = round_up(keys_, LANES);
    Index low = span_of(r).low, stop = span_of(r + high - 1).high;
    if (low >= stop) {
      if (!by_query_.has_begun) by_query_.clear(r, high);
      for (Index pair = r / 2; pairs_ && pair < (r + high + 1) / 2; ++pair) {
        std::memset(weight_pairs_ + pair * width, 0, sizeof(float) * all);
        std::memset(slope_pairs_ + pair * width, 0, sizeof(float) * all);
      }
      return;
    }
    const Index from = low / WIDE * WIDE, to = round_up(stop, LANES);
    float *weights = weights_ + r * width, *slopes = slopes_ + r * width;
    const Rows query{asking().data + r * asking().stride, asking().stride};
    const Rows grad{grad_.data + r * grad_.stride, grad_.stride};
    const Index depth = depth_of(call_.dim), value_depth = depth_of(call_.value_dim);
    for (Index k = from; k < to; k += WIDE) {
      const Index first = k + max(low - k, 0) / LANES * LANES;  // vectors before it no row sees
      const auto multiplied = [&](const Rows& rows, const float* panels, Index depth, float* scores) {
        product(pairs_, high, rows.data, rows.stride, 1, panels + k * depth + first - k, WIDE, 0, scores + first, width,
                min(k + WIDE, to) - first, depth, false);
      };
      if (additive_)
        additive_scores(min(WIDE, to - k), high, query.data, query.stride, key_panels_ + k * call_.dim, call_.dim,
                        weight_, log2_factor(call_), easy_, weights + k, width);
      else
        multiplied(query, key_panels_, depth, weights);
      multiplied(grad, value_panels_, value_depth, slopes);
    }
    for (Index m = 0; m < high; ++m) {
      if (pairs_ && !scaled_late(call_))
        multiply(weights + m * width, {low / LANES * LANES, to}, call_.scale * log2_factor(call_));
      slopes_of_row(r + m, weights + m * width, slopes + m * width);
      const Span whole = whole_vectors(span_of(r + m));  // tiles read a little more than what is seen
      const Span near = pairs_ ? Span{0, all} : whole_vectors(wider(span_of(r + m), HIGH));
      clear_outside(whole, near.low, near.high, weights + m * width);
      clear_outside(whole, near.low, near.high, slopes + m * width);
    }
    if (careful_ || additive_) return;
    Index stride = width;
    if (pairs_) {
      pair_rows(r, high);
      low = low / 2 * 2, stop = round_up(stop, 2), stride = width / 2;
      for (Index m = 0; m < high; ++m) narrow(slopes + m * width, low, stop, narrowed_ + m * stride);
      low /= 2, stop /= 2, slopes = narrowed_;
    }
    product(pairs_, high, slopes + low, stride, 1, key_.data + low * key_.stride, key_.stride, WIDE, by_query_.row(r),
            by_query_.stride, size_.dim, stop - low, by_query_.has_begun);
  }

  // Weights and slopes of neighbouring rows, for the products along rows.
  void pair_rows(Index first, Index high) {
    const Index width = size_.width, all = round_up(keys_, LANES);
    const auto pair = [&](float* rows, Index r, float* to) {
      if (r + 1 == rows_) std::memset(rows + (r + 1) * width, 0, sizeof(float) * all);
      pair_up(rows + r * width, rows + (r + 1) * width, all, to + r / 2 * width);
    };
    for (Index r = first; r < first + high; r += 2) pair(weights_, r, weight_pairs_), pair(slopes_, r, slope_pairs_);
  }

  // Scores become weights, and slopes by weights slopes by scores.
  void slopes_of_row(Index r, float* weights, float* slopes) {
    const Index row = area_.row_start + r, place = plane() * call_.rows + row;
    const Span span = span_of(r), whole = whole_vectors(span);
    hide(area_, row, span, weights);
    if (call_.dropout > 0) drop(area_, row, whole, slopes);
    const Normalizer normalizer = call_.normalizer;
    const float statistic = call_.statistics[place], late = late_scale(call_);
    const bool all_here = normalizer == Normalizer::softmax && !call_.part && sees_no_other(row);
    float inner = 0;
    if (all_here) {
      weigh(normalizer, late, statistic, whole, weights);
      inner = inner_product(weights, slopes, whole);
    } else if (normalizer == Normalizer::softmax) {
      inner = out_.inner[place];
    }
    through_normalizer(normalizer, all_here, late, statistic, inner, out_.table_parts ? 1 : scale(), whole, weights,
                       slopes);
    if (call_.dropout > 0) drop(area_, row, whole, weights);
    if (!out_.table_parts) return;
    float* sums = by_distance_sums_ + (rows_ - 1 - r);
    for (Index k = span.low; k < span.high; ++k) sums[k] += slopes[k];
    multiply(slopes, whole, scale());
  }

  bool sees_no_other(Index row) const {  // key than those of the area
    const Span all = seen_by(call_, area_.sequence, row);
    return all.low >= area_.key_start && all.high <= area_.key_stop;
  }

  // What weights and slopes give to values and keys: one after the other, for the rows of one are all that the cache holds.
  void mix() {
    if (!additive_) mix(pairs_ ? slope_pairs_ : slopes_, pairs_ ? Rows{query_pairs_, size_.dim} : query_, by_key_);
    mix(pairs_ ? weight_pairs_ : weights_, pairs_ ? Rows{grad_pairs_, size_.value_dim} : grad_, by_value_);
  }
  void mix(const float* weights, Rows rows, const BlockSums& sums) const {
    const Index width = size_.width, part = pairs_ ? 2 : 1;
    Span seeing{0, 0};  // the rows that may see some of these keys: both limits rise with the key
    for (Index k = 0; k < keys_; k += HIGH) {
      const Index high = min(HIGH, keys_ - k);
      while (seeing.low < rows_ && span_of(seeing.low).high <= k) ++seeing.low;
      seeing.high = max(seeing.high, seeing.low);
      while (seeing.high < rows_ && span_of(seeing.high).low < k + high) ++seeing.high;
      if (seeing.low == seeing.high) {
        if (!sums.has_begun) sums.clear(k, high);
        continue;
      }
      const Index low = seeing.low / part, depth = (seeing.high + part - 1) / part - low;
      product(pairs_, high, weights + low * width + k, 1, width, rows.data + low * rows.stride, rows.stride, WIDE,
              sums.row(k), sums.stride, sums.columns, depth, sums.has_begun);
    }
  }

  // By_query and by_key without the weight, which is the same for all.
  void through_additive() {
    for (Index r = 0; r < rows_; ++r)
      additive_gradients(area_, area_.row_start + r, span_of(r), asking().data + r * asking().stride, asked_, size_.dim,
                         easy_, careful_, slopes_ + r * size_.width, by_query_.row(r), by_key_.row(0), by_weight_);
  }

  // One row and key at a time: what is hidden is never multiplied, for 0 times NaN is NaN.
  void mix_carefully() {
    Rows query = query_, key = key_, grad = grad_;
    if (pairs_) {
      query = floats_of(call_.query, call_.dim, query_floats_);
      grad = floats_of(out_.grad, call_.value_dim, grad_floats_);
      key = take_rows(call_.key, area_.batch, key_head_, area_.key_start, keys_, call_.dim, 1, area_.attended(),
                      key_copy_);
    }
    const auto add_scaled = [](Index count, float factor, const float* row, float* to) {
      for (Index d = 0; d < count; ++d) to[d] += factor * row[d];
    };
    for (Index r = 0; r < rows_; ++r) {
      const Span span = span_of(r);
      for (Index k = span.low; k < span.high; ++k) {
        if (!area_.sees(area_.row_start + r, k)) continue;
        const float slope = slopes_[r * size_.width + k], weight = weights_[r * size_.width + k];
        if (!additive_) {
          add_scaled(call_.dim, slope, key.data + k * key.stride, by_query_.row(r));
          add_scaled(call_.dim, slope, query.data + r * query.stride, by_key_.row(k));
        }
        add_scaled(call_.value_dim, weight, grad.data + r * grad.stride, by_value_.row(k));
      }
    }
  }

  void put_keys() {
    if (additive_) by_key_.multiply(weight_);
    by_key_.put(), by_value_.put();
    if (out_.table_parts)
      for (Index n = 0; n < rows_ + keys_ - 1; ++n)
        out_.table_parts[share() * call_.table_width + area_.table_place(area_.first_distance() + n)] +=
            by_distance_sums_[n];
  }

  void put_rows_of_block() {
    if (additive_) by_query_.multiply(weight_);
    by_query_.put();
    if (out_.weight_parts)
      for (Index d = 0; d < call_.dim; ++d) out_.weight_parts[share() * call_.dim + d] += by_weight_[d];
  }

  Index share() const { return run_ * call_.batch * call_.heads + plane(); }  // of a sum that all runs make

  const Call& call_;
  const Gradients& out_;
  const AllSums& sums_;
  const BackwardSizes& size_;
  const RowBlock& block_;
  const bool additive_, pairs_, copies_, copies_values_;  // these: of sums, until they are put where they are wanted
  const Index run_, key_head_, rows_;
  Area area_;
  Index keys_ = 0;
  float *query_copy_, *query_doubled_, *by_query_copy_, *grad_copy_, *output_copy_, *key_copy_, *key_doubled_;
  float *by_key_copy_, *value_copy_, *by_value_copy_;
  float *key_panels_, *value_panels_, *weights_, *slopes_, *by_distance_sums_, *weight_, *by_weight_;

  float *query_pairs_ = nullptr, *grad_pairs_ = nullptr, *key_pairs_ = nullptr, *narrowed_ = nullptr;
  float *query_floats_ = nullptr, *grad_floats_ = nullptr;
  float *weight_pairs_ = nullptr, *slope_pairs_ = nullptr;  // [rows / 2][width]: neighbouring rows in one

  Span* spans_;  // of each row, over the keys of the block
  Rows query_{}, query_as_exponentials_{}, grad_{}, key_{}, asked_{};  // the keys, and as scores ask for them
  BlockSums by_query_{}, by_key_{}, by_value_{};
  float query_size_ = 0;
  bool rows_finite_ = false, careful_ = false, easy_ = false;
};

}  // namespace regard::REGARD_ISA
