// Backward: weights again from what forward kept, and the gradients of query, key, value and whatever else is learned.
// Work is a pair of a block of rows and a block of keys. In each step every block of rows meets another block of keys,
// so that all pairs of a step run at once, each adding to sums that are its own: no atomics, and one order.
#pragma once

#include "scores.h"

namespace regard::REGARD_ISA {

struct BackwardSizes {
  Index rows;  // in a block, of queries and of keys
  Index dim, value_dim, panels, value_panels, width;

  explicit BackwardSizes(const Call& call) {
    dim = round_up(call.dim, LANES), value_dim = round_up(call.value_dim, LANES);
    panels = (dim + WIDE - 1) / WIDE, value_panels = (value_dim + WIDE - 1) / WIDE;
    rows = smaller(greater(12288 / (dim + value_dim), 48), 192) / 48 * 48;
    width = round_up(rows, WIDE) + WIDE;
  }
  Index floats() const {
    Index total = Scratch::padded(rows * dim) + Scratch::padded(rows * value_dim);          // keys, values as they are
    total += Scratch::padded(rows * dim) + Scratch::padded(rows * panels * WIDE);          // query
    total += Scratch::padded(rows * value_dim) + Scratch::padded(rows * value_panels * WIDE);  // grad
    total += Scratch::padded(width * dim) + Scratch::padded(rows * (dim + panels * WIDE)); // key
    total += Scratch::padded(width * value_dim);                                           // value
    total += 2 * Scratch::padded(rows * dim) + Scratch::padded(rows * value_dim);          // gradients
    total += 2 * Scratch::padded(rows * width) + 2 * Scratch::padded(width);               // weights, slopes; of keys
    total += 2 * Scratch::padded(rows + width + LANES);                                    // by distance
    total += 3 * Scratch::padded(dim);                                                     // weight and its sums
    return total;
  }
};

inline float product_of(const float* a, const float* b, Span span) {
  Vector total{};
  for (Index k = span.low; k < span.high; k += LANES) {
    const Vector x = load(a + k);
    total += x == Vector{} ? x : x * load(b + k);  // a weight of 0 is hidden, and NaN may hide with it
  }
  return sum(total);
}

inline void add_scaled(Index count, float factor, const float* row, float* to) {
  for (Index d = 0; d < count; ++d) to[d] += factor * row[d];
}

class Backward {
 public:
  Backward(const Call& call, const Gradients& gradients)
      : call_(call), out_(gradients), size_(call), groups_(call.heads / call.key_heads) {}

  void operator()() {
    Index count;
    Block* blocks = cut(call_, size_.rows, count);
    if (call_.normalizer == Normalizer::softmax)
      in_parallel(count * call_.batch * call_.heads, call_.threads, [&](Index i) {
        const Index plane = i / count;
        inner_products(blocks[i % count], plane / call_.heads, plane % call_.heads);
      });
    Index first_step = 0, last_step = -1;
    for (Index i = 0; i < count; ++i) {
      const Span steps = steps_of(blocks[i]);
      if (steps.low >= steps.high) continue;
      first_step = last_step < first_step ? steps.low : smaller(first_step, steps.low);
      last_step = greater(last_step, steps.high - 1);
    }
    const Index planes = call_.batch * call_.key_heads;
    for (Index step = first_step; step <= last_step; ++step)
      in_parallel(count * planes, call_.threads, [&](Index i) {
        const Block& block = blocks[i / planes];
        const Span steps = steps_of(block);
        if (steps.low <= step && step < steps.high)
          pair(block, i / planes, step, i % planes / call_.key_heads, i % planes % call_.key_heads);
      });
    std::free(blocks);
  }

 private:
  Index number_of(const Block& block) const {  // of the block within its sequence
    return (block.row_start - block.sequence->row_start) / size_.rows;
  }
  // Which steps a block of rows takes part in: the number of the block of keys less its own.
  Span steps_of(const Block& block) const {
    const Index low = seen_by(call_, *block.sequence, block.row_start).low - block.sequence->key_start;
    const Index high = seen_by(call_, *block.sequence, block.row_stop - 1).high - block.sequence->key_start;
    if (low >= high) return {0, 0};
    return {low / size_.rows - number_of(block), (high - 1) / size_.rows + 1 - number_of(block)};
  }

  // output . grad of each row whose keys are in several blocks: by it the slopes of a row's weights sum to zero.
  void inner_products(const Block& block, Index batch, Index head) const {
    if (block.sequence->key_stop - block.sequence->key_start <= size_.rows) return;
    const Index count = block.row_stop - block.row_start, dim = size_.value_dim;
    Scratch& memory = scratch();
    memory.reserve(2 * Scratch::padded(size_.rows * dim));
    const Rows output = take_rows(call_.output, batch, head, block.row_start, count, call_.value_dim, 1, nullptr,
                                  memory.take(size_.rows * dim));
    const Rows grad = take_rows(out_.grad, batch, head, block.row_start, count, call_.value_dim, 1, nullptr,
                                memory.take(size_.rows * dim));
    float* inner = out_.inner + (batch * call_.heads + head) * call_.rows + block.row_start;
    for (Index n = 0; n < count; ++n) {
      Vector total{};
      for (Index d = 0; d < dim; d += LANES)
        total += load(output.data + n * output.stride + d) * load(grad.data + n * grad.stride + d);
      inner[n] = sum(total);
    }
  }

  // Slopes of the loss by scores, from those by weights.
  __attribute__((noinline)) void through_normalizer(float kept, float inner, Index from, Index to, const float* scores, const float* weights,
                          float* slopes) const {
    const Vector hidden = splat(-INFINITE), zero{}, one = splat(1.f);
    for (Index k = from; k < to; k += LANES) {
      const Vector score = load(scores + k), weight = load(weights + k), slope = load(slopes + k);
      Vector by_score;
      if (call_.normalizer == Normalizer::softmax)
        by_score = weight * (slope - splat(inner));
      else if (call_.normalizer == Normalizer::relu)
        by_score = score > zero ? slope * splat(kept) : zero;
      else
        by_score = slope * weight * (one - weight);
      store(slopes + k, score == hidden ? zero : by_score);
    }
  }

  void pair(const Block& block, Index block_number, Index step, Index batch, Index key_head) const {
    const Sequence& sequence = *block.sequence;
    const Index key_start = sequence.key_start + (number_of(block) + step) * size_.rows;
    const Index key_stop = smaller(key_start + size_.rows, sequence.key_stop);
    const Index rows = block.row_stop - block.row_start, keys = key_stop - key_start, width = size_.width;
    const Index dim = size_.dim, value_dim = size_.value_dim;
    const bool additive = call_.additive != nullptr;
    Scratch& memory = scratch();
    memory.reserve(size_.floats());
    float* raw = memory.take(size_.rows * dim);
    float* value = memory.take(size_.rows * value_dim);
    float* query = memory.take(size_.rows * dim);
    float* query_columns = memory.take(size_.rows * size_.panels * WIDE);
    float* grad = memory.take(size_.rows * value_dim);
    float* grad_columns = memory.take(size_.rows * size_.value_panels * WIDE);
    float* key = memory.take(size_.rows * dim);
    float* key_panels = memory.take(width * dim);
    float* key_columns = memory.take(size_.rows * size_.panels * WIDE);
    float* value_panels = memory.take(width * value_dim);
    float* by_query = memory.take(size_.rows * dim);
    float* by_key = memory.take(size_.rows * dim);
    float* by_value = memory.take(size_.rows * value_dim);
    float* weights = memory.take(size_.rows * width);
    float* slopes = memory.take(size_.rows * width);
    float* hiding = memory.take(width);
    std::int32_t* hashes = reinterpret_cast<std::int32_t*>(memory.take(width));
    float* by_distance = memory.take(size_.rows + width + LANES);
    float* table_sums = memory.take(size_.rows + width + LANES);
    float* weight = memory.take(dim);
    float* by_weight = memory.take(dim);

    Pair pair{call_, sequence, batch, 0, block.row_start, block.row_stop, key_start, key_stop, hiding, by_distance,
              hashes};
    prepare_keys(pair);
    const Rows raw_key = take_rows(call_.key, batch, key_head, key_start, keys, call_.dim, 1, pair.attended(), raw);
    const float key_size = additive ? most_magnitude(raw_key, keys, dim) : 0;
    bool finite = key_size < INFINITE;
    if (!additive) {
      finite = by_columns(raw_key, keys, dim, key_columns);
      by_rows(raw_key, keys, call_.dim, key_panels);
    }
    const Rows raw_value =
        take_rows(call_.value, batch, key_head, key_start, keys, call_.value_dim, 1, pair.attended(), value);
    finite &= by_rows(raw_value, keys, call_.value_dim, value_panels);
    std::memset(by_key, 0, sizeof(float) * keys * dim);
    std::memset(by_value, 0, sizeof(float) * keys * value_dim);

    for (Index group = 0; group < groups_; ++group) {
      const Index head = key_head * groups_ + group, plane = batch * call_.heads + head;
      pair.head = head;
      prepare_head(pair);
      Rows asking = take_rows(call_.query, batch, head, block.row_start, rows, call_.dim, additive ? 1 : call_.scale,
                              nullptr, query);
      Rows asked = raw_key;
      const Rows slope =
          take_rows(out_.grad, batch, head, block.row_start, rows, call_.value_dim, 1, nullptr, grad);
      bool careful = !finite, easy = false;
      if (additive) {
        std::memset(weight, 0, sizeof(float) * dim);
        std::memcpy(weight, call_.additive + head * call_.dim, sizeof(float) * call_.dim);
        std::memset(by_weight, 0, sizeof(float) * dim);
        const float size = key_size + most_magnitude(asking, rows, dim);
        careful |= !(size < INFINITE);
        easy = call_.dim >= 4 && size < EASY;
        if (easy) {
          asking = doubled_exponentials(asking, rows, dim, query);
          asked = doubled_exponentials(raw_key, keys, dim, key);
        }
        by_rows(asked, keys, call_.dim, key_panels);
      } else {
        careful |= !by_columns(asking, rows, dim, query_columns);
      }
      careful |= !by_columns(slope, rows, value_dim, grad_columns);
      std::memset(by_query, 0, sizeof(float) * rows * dim);
      if (out_.table_parts) std::memset(table_sums, 0, sizeof(float) * (rows + keys + LANES));

      for (Index r = 0; r < rows; r += HIGH) {
        const Index high = smaller(HIGH, rows - r), first_row = block.row_start + r;
        const Index low = span_of(pair, first_row).low, stop = span_of(pair, first_row + high - 1).high;
        const Index from = low / WIDE * WIDE, to = low < stop ? round_up(stop, WIDE) : from;
        float *w = weights + r * width, *s = slopes + r * width;
        for (Index m = 0; m < high; ++m) {  // what is not written below is read, with what is, as whole tiles
          std::memset(w + m * width, 0, sizeof(float) * from);
          std::memset(s + m * width, 0, sizeof(float) * from);
          std::memset(w + m * width + to, 0, sizeof(float) * (width - to));
          std::memset(s + m * width + to, 0, sizeof(float) * (width - to));
        }
        if (from == to) continue;
        if (additive)
          for (Index k = from; k < to; k += WIDE)
            additive_scores(high, asking.data + r * asking.stride, asking.stride, key_panels + k * call_.dim, call_.dim, weight, easy, w + k,
                            width);
        else
          product(high, asking.data + r * asking.stride, asking.stride, 1, key_panels + from * call_.dim, call_.dim * WIDE, w + from, width,
                  to - from, call_.dim, false);
        product(high, slope.data + r * slope.stride, slope.stride, 1, value_panels + from * call_.value_dim,
                call_.value_dim * WIDE, s + from, width, to - from, call_.value_dim, false);
        for (Index m = 0; m < high; ++m, w += width, s += width) {
          const Index row = first_row + m, place = plane * call_.rows + row;
          float scores[4 * 64 + 2 * 64];
          const Span span = span_of(pair, row), whole = whole_vectors(span);
          hide(pair, row, span, w);
          std::memcpy(scores + whole.low - from, w + whole.low, sizeof(float) * (whole.high - whole.low));
          weigh(call_.normalizer, call_.statistics[place], whole.low, whole.high, w, w);
          if (call_.dropout > 0) drop(pair, row, whole.low, whole.high, s);
          float inner = 0;
          if (call_.normalizer == Normalizer::softmax) {
            const Span all = seen_by(call_, sequence, row);
            const bool here = all.low >= key_start && all.high <= key_stop;
            inner = here ? product_of(w, s, whole) : out_.inner[place];
          }
          through_normalizer(call_.statistics[place], inner, whole.low, whole.high, scores - from, w, s);
          if (call_.dropout > 0) drop(pair, row, whole.low, whole.high, w);
          clear_outside(whole, from, to, w);
          clear_outside(whole, from, to, s);
          if (out_.table_parts) {
            float* sums = table_sums + (block.row_stop - 1 - row);
            for (Index k = span.low; k < span.high; ++k) sums[k] += s[k];
          }
        }
        if (!careful && !additive)
          product(high, slopes + r * width + low, width, 1, key_columns + low * WIDE, keys * WIDE, by_query + r * dim,
                  dim, dim, stop - low, true);
      }
      if (!careful)
        for (Index k = 0; k < keys; k += HIGH) {
          const Index high = smaller(HIGH, keys - k);
          const Span seeing = rows_that_see(pair, k, k + high);
          if (seeing.low >= seeing.high) continue;
          if (!additive)
            product(high, slopes + seeing.low * width + k, 1, width, query_columns + seeing.low * WIDE, rows * WIDE,
                    by_key + k * dim, dim, dim, seeing.high - seeing.low, true);
          product(high, weights + seeing.low * width + k, 1, width, grad_columns + seeing.low * WIDE, rows * WIDE,
                  by_value + k * value_dim, value_dim, value_dim, seeing.high - seeing.low, true);
        }
      else
        mix_carefully(pair, asking, slope, asked, weights, slopes, by_query, by_key, by_value);
      for (Index r = 0; additive && r < rows; ++r)
        additive_gradients(pair, block.row_start + r, span_of(pair, block.row_start + r),
                           asking.data + r * asking.stride, asked, dim, weight, easy, careful, slopes + r * width, by_query + r * dim, by_key, by_weight);
      if (out_.weight_parts) {
        float* part = out_.weight_parts + (block_number * call_.batch * call_.heads + plane) * call_.dim;
        for (Index d = 0; d < call_.dim; ++d) part[d] += by_weight[d];
      }
      add(out_.query, call_.heads, call_.rows, batch, head, block.row_start, rows, call_.dim, by_query, dim,
          additive ? 1 : call_.scale);
      if (out_.table_parts) {
        float* part = out_.table_parts + (block_number * call_.batch * call_.heads + plane) * call_.table_width;
        for (Index n = 0; n < rows + keys - 1; ++n) part[pair.table_place(pair.first_distance() + n)] += table_sums[n];
      }
    }
    add(out_.key, call_.key_heads, call_.keys, batch, key_head, key_start, keys, call_.dim, by_key, dim, 1);
    add(out_.value, call_.key_heads, call_.keys, batch, key_head, key_start, keys, call_.value_dim, by_value, value_dim,
        1);
  }

  Span span_of(const Pair& pair, Index row) const {
    return within(seen_by(call_, pair.sequence, row), pair.key_start, pair.key_stop);
  }

  // The rows of the block, counted from its first, that may see some of the keys [first, last).
  Span rows_that_see(const Pair& pair, Index first, Index last) const {
    Index low = 0, high = pair.rows();
    while (low < high && span_of(pair, pair.row_start + low).high <= first) ++low;
    while (low < high && span_of(pair, pair.row_start + high - 1).low >= last) --high;
    return {low, high};
  }

  // One pair at a time: what is hidden is never multiplied, for 0 times NaN is NaN.
  void mix_carefully(const Pair& pair, Rows query, Rows grad, Rows key,
                     const float* weights, const float* slopes, float* by_query, float* by_key, float* by_value) const {
    for (Index r = 0; r < pair.rows(); ++r) {
      const Span span = span_of(pair, pair.row_start + r);
      for (Index k = span.low; k < span.high; ++k) {
        if (!pair.sees(pair.row_start + r, k)) continue;
        const float slope = slopes[r * size_.width + k];
        if (!call_.additive) {
          add_scaled(call_.dim, slope, key.data + k * key.stride, by_query + r * size_.dim);
          add_scaled(call_.dim, slope, query.data + r * query.stride, by_key + k * size_.dim);
        }
        add_scaled(call_.value_dim, weights[r * size_.width + k], grad.data + r * grad.stride,
                      by_value + k * size_.value_dim);
      }
    }
  }

  // Adds rows to a sum shaped [B, heads, N, dim], or [T, heads, dim] where the batch is ragged.
  void add(float* sums, Index heads, Index total, Index batch, Index head, Index first, Index count, Index dim,
           const float* from, Index stride, float scale) const {
    const bool ragged = call_.ragged;
    float* to = sums + (ragged ? (first * heads + head) * dim : ((batch * heads + head) * total + first) * dim);
    for (Index n = 0; n < count; ++n, from += stride, to += ragged ? heads * dim : dim)
      for (Index d = 0; d < dim; ++d) to[d] += from[d] * scale;
  }

  const Call& call_;
  const Gradients& out_;
  const BackwardSizes size_;
  const Index groups_;
};

inline void backward(const Call& call, const Gradients& gradients) { Backward(call, gradients)(); }

inline Index row_blocks(const Call& call) {
  const Index rows = BackwardSizes(call).rows;
  Index count = 0;
  for (Index s = 0; s < call.sequence_count; ++s)
    count += (call.sequences[s].row_stop - call.sequences[s].row_start + rows - 1) / rows;
  return count;
}

}  // namespace regard::REGARD_ISA
