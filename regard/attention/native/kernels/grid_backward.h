// Backward of windows over rows and columns: weights again from what forward left. A task owns pixels, and makes all of
// their gradients itself: of the queries around that see its keys it computes the weights too, so that no two tasks add
// to one sum, and nothing is waited for.
#pragma once

#include "grid_rows.h"

namespace regard::REGARD_ISA {

class GridBackward {
 public:
  GridBackward(const Call& call, const Gradients& out, const GridTask& task, Index share, Index batch, Index key_head)
      : call_(call), out_(out), task_(task), image_(*task.image), window_(call), share_(share), batch_(batch),
        key_head_(key_head), beside_(call.left + call.right), ring_(window_.high - 1 + GRID_HIGH),
        around_(round_up(round_up(task.column_stop - task.column, LANES) + beside_, LANES)),
        first_(task.column - call.right) {
    const Index most = max(call.dim, call.value_dim);
    scratch().lay_out([&](Scratch& memory) {
      query_.lay_out(memory, ring_, call.dim, around_);
      grad_.lay_out(memory, ring_, call.value_dim, around_);
      key_.lay_out(memory, ring_, call.dim, around_ + beside_);
      value_.lay_out(memory, ring_, call.value_dim, around_ + beside_);
      scores_ = memory.take(GRID_HIGH * window_.size * LANES);
      slopes_ = memory.take(GRID_HIGH * window_.size * LANES);
      row_size_ = window_.size * (around_ + LANES);
      all_weights_ = memory.take(ring_ * row_size_);
      all_slopes_ = memory.take(ring_ * row_size_);
      mixtures_ = memory.take(GRID_HIGH * most * LANES);
      copy_ = memory.take(LANES * round_up(most, LANES));
      table_sums_ = memory.take(call.row_table ? window_.size * LANES : 0);
    });
  }

  // Of one query head after another, those that share the keys.
  void differentiate() {
    const Index groups = call_.heads / call_.key_heads;
    for (Index group = 0; group < groups; ++group) {
      head_ = key_head_ * groups + group, is_first_ = group == 0;
      query_.begin(call_.query, image_, batch_, head_, first_);
      grad_.begin(out_.grad, image_, batch_, head_, first_);
      key_.begin(call_.key, image_, batch_, key_head_, first_ - call_.left);
      value_.begin(call_.value, image_, batch_, key_head_, first_ - call_.left);
      if (call_.row_table) std::memset(table_sums_, 0, sizeof(float) * window_.size * LANES);
      go_down();
      if (out_.row_table_parts) put_tables();
    }
  }

 private:
  void go_down() {
    const Index begin = max(task_.row - call_.down, 0), stop = min(task_.row_stop + call_.up, image_.rows);
    Index taken = max(begin - call_.up, 0), done = task_.row;  // rows of keys: taken, and with their gradients made
    for (Index r = begin; r < stop; r += GRID_HIGH) {
      const Index rows = min(GRID_HIGH, stop - r);
      for (; taken < min(r + rows + call_.down, image_.rows); ++taken) key_.take(taken), value_.take(taken);
      for (Index m = 0; m < rows; ++m) query_.take(r + m), grad_.take(r + m);
      for (Index x = 0; x < around_; x += LANES) slopes_of(r, rows, x);
      for (Index m = 0; m < rows; ++m)
        if (r + m >= task_.row && r + m < task_.row_stop) by_query(r + m);
      const Index complete = r + rows == stop ? task_.row_stop : min(r + rows - call_.up, task_.row_stop);
      for (; done < complete; done += min(GRID_HIGH, complete - done)) by_keys(done, min(GRID_HIGH, complete - done));
    }
  }

  float* weights_of(Index r) const { return all_weights_ + r % ring_ * row_size_; }  // [size][around + LANES]
  float* slopes_of(Index r) const { return all_slopes_ + r % ring_ * row_size_; }

  // Weights and slopes of the loss by scores, of one vector of queries in each of a few rows.
  void slopes_of(Index r, Index rows, Index x) {
    const float *queries[GRID_HIGH], *grads[GRID_HIGH];
    for (Index m = 0; m < rows; ++m) queries[m] = query_.row(r + m) + x, grads[m] = grad_.row(r + m) + x;
    score_window(window_, image_, r, rows, call_.up, queries, query_.stride, key_, x, call_.dim, scores_);
    score_window(window_, image_, r, rows, call_.up, grads, grad_.stride, value_, x, call_.value_dim, slopes_);
    for (Index m = 0; m < rows; ++m)
      through_normalizer(r + m, x, scores_ + m * window_.size * LANES, slopes_ + m * window_.size * LANES);
  }

  void through_normalizer(Index r, Index x, float* scores, const float* slopes) {
    window_.settle(image_, head_, r, first_ + x, scores);
    const Vector zero{}, one = splat(1.f), statistic = statistics(r, first_ + x);
    const Span rows = window_.rows_in(image_, r);
    const Index first = rows.low * window_.wide, stop = rows.high * window_.wide, width = around_ + LANES;
    float *weights_to = weights_of(r) + x, *slopes_to = slopes_of(r) + x;
    Vector inner{};
    for (Index n = first; n < stop; ++n) {
      const Vector score = load(scores + n * LANES);
      const Vector weight = score == splat(-INFINITE) ? zero : weight_of(call_.normalizer, score, statistic);
      store(weights_to + n * width, weight);
      inner += weight == zero ? zero : weight * load(slopes + n * LANES);  // what is hidden may be NaN
    }
    for (Index n = first; n < stop; ++n) {
      const Vector weight = load(weights_to + n * width), slope = load(slopes + n * LANES);
      Vector by_score;
      if (call_.normalizer == Normalizer::softmax)
        by_score = weight * (slope - inner);
      else if (call_.normalizer == Normalizer::relu)
        by_score = slope * statistic;
      else
        by_score = slope * weight * (one - weight);
      store(slopes_to + n * width, weight == zero ? zero : by_score);
    }
  }

  // Of lanes that begin with column c; 0 outside of the image, where nothing is seen.
  Vector statistics(Index r, Index c) const {
    float found[LANES]{};
    const Index first = image_.start + r * image_.row_step;
    const float* from = call_.statistics + (batch_ * call_.heads + head_) * call_.rows + first;
    for (Index lane = max(-c, 0); lane < min(LANES, image_.columns - c); ++lane)
      found[lane] = from[(c + lane) * image_.column_step];
    return load(found);
  }

  void by_query(Index r) {
    const Span rows = window_.rows_in(image_, r);
    const Index wide = window_.wide, width = around_ + LANES;
    for (Index c = task_.column; c < task_.column_stop; c += LANES) {
      const Index x = c - first_;
      std::memset(mixtures_, 0, sizeof(float) * call_.dim * LANES);
      for (Index i = rows.low; i < rows.high; ++i) {
        const float *slopes = slopes_of(r) + i * wide * width + x, *keys = key_.row(r + i - call_.up) + x;
        if (!call_.table_hides) {
          grid_mix(1, slopes, 0, width, keys, key_.stride, 1, wide, call_.dim, mixtures_, 0);
          continue;
        }
        for (Index j = 0; j < wide; ++j)
          if (window_.bias(head_, i, j) != -INFINITE)
            grid_mix(1, slopes + j * width, 0, width, keys + j, key_.stride, 1, 1, call_.dim, mixtures_, 0);
      }
      put_turned(mixtures_, call_.dim, splat(call_.scale), false, copy_, row_of(out_.query, image_, r), batch_, head_,
                 c, min(LANES, task_.column_stop - c));
      if (!call_.row_table) continue;
      for (Index n = rows.low * wide; n < rows.high * wide; ++n)
        store(table_sums_ + n * LANES, load(table_sums_ + n * LANES) + load(slopes_of(r) + n * width + x));
    }
  }

  // Of keys and values in a few rows: what the rows of queries around give to them.
  void by_keys(Index key, Index rows) {
    for (Index c = task_.column; c < task_.column_stop; c += LANES) {
      by_rows_around(key, rows, c, all_slopes_, query_, call_.dim, splat(call_.scale), out_.key);
      by_rows_around(key, rows, c, all_weights_, grad_, call_.value_dim, splat(1.f), out_.value);
    }
  }
  void by_rows_around(Index key, Index rows, Index c, const float* weights, const TurnedRows& around, Index dim,
                      Vector scale, const Array& out) {
    const Index wide = window_.wide, width = around_ + LANES, next_row = wide * width;
    const Index x = c - first_ + call_.left;  // the query that sees the first key of its window here
    std::memset(mixtures_, 0, sizeof(float) * rows * dim * LANES);
    for (Index r = max(key - call_.down, 0); r < min(key + rows + call_.up, image_.rows); ++r) {
      const Index low = max(r - call_.up - key, 0), stop = min(r + call_.down - key + 1, rows);  // keys that it sees
      const Index i = key + low - r + call_.up;
      const float* const first = weights + r % ring_ * row_size_ + i * next_row + x;
      if (!call_.table_hides) {
        grid_mix(stop - low, first, next_row, width - 1, around.row(r) + x, around.stride, -1, wide, dim,
                 mixtures_ + low * dim * LANES, dim * LANES);
        continue;
      }
      for (Index m = low; m < stop; ++m)
        for (Index j = 0; j < wide; ++j)
          if (window_.bias(head_, i + m - low, j) != -INFINITE)
            grid_mix(1, first + (m - low) * next_row + j * (width - 1), 0, 0, around.row(r) + x - j, around.stride, 0,
                     1, dim, mixtures_ + m * dim * LANES, 0);
    }
    for (Index m = 0; m < rows; ++m)
      put_turned(mixtures_ + m * dim * LANES, dim, scale, !is_first_, copy_, row_of(out, image_, key + m), batch_,
                 key_head_, c, min(LANES, task_.column_stop - c));
  }

  void put_tables() const {
    float* const by_row = out_.row_table_parts + (share_ * call_.heads + head_) * window_.high;
    float* const by_column = out_.table_parts + (share_ * call_.heads + head_) * window_.wide;
    for (Index i = 0; i < window_.high; ++i)
      for (Index j = 0; j < window_.wide; ++j) {
        const float total = sum(load(table_sums_ + (i * window_.wide + j) * LANES));
        by_row[i] += total, by_column[j] += total;
      }
  }

  const Call& call_;
  const Gradients& out_;
  const GridTask& task_;
  const Image& image_;
  const GridWindow window_;
  const Index share_, batch_, key_head_;
  const Index beside_, ring_;
  const Index around_, first_;  // columns of the queries that see the task's keys, and the first of them
  Index head_ = 0, row_size_ = 0;
  bool is_first_ = true;
  TurnedRows query_, grad_, key_, value_;
  float *scores_, *slopes_;  // [rows][size][LANES]
  float *all_weights_, *all_slopes_;  // [ring][size][around + LANES]
  float *mixtures_, *copy_, *table_sums_;
};

inline void grid_backward(const Call& call, const Gradients& out) {
  Index count;
  const Memory<GridTask> tasks = grid_tasks(call, count);
  const Index planes = call.batch * call.key_heads;
  in_parallel(count * planes, call.threads, [&](Index i) {
    const Index plane = i / count, task = i % count, batch = plane / call.key_heads;
    GridBackward(call, out, tasks[task], batch * count + task, batch, plane % call.key_heads).differentiate();
  });
}

inline Index grid_runs(const Call& call) { return call.batch * count_tasks(call); }

}  // namespace regard::REGARD_ISA
