// Forward of windows over rows and columns: a few rows of queries at a time go down the image, and the rows of keys
// that they see with them.
#pragma once

#include "grid_rows.h"

namespace regard::REGARD_ISA {

class GridForward {
 public:
  GridForward(const Call& call, const GridTask& task, Index batch, Index head)
      : call_(call), task_(task), image_(*task.image), window_(call), batch_(batch), head_(head) {
    const Index columns = round_up(task.column_stop - task.column, LANES);
    scratch().lay_out([&](Scratch& memory) {
      const Index ring = window_.high - 1 + GRID_HIGH, beside = call.left + call.right;
      query_.lay_out(memory, GRID_HIGH, call.dim, columns);
      key_.lay_out(memory, ring, call.dim, columns + beside);
      value_.lay_out(memory, ring, call.value_dim, columns + beside);
      scores_ = memory.take(GRID_HIGH * window_.size * LANES);
      mixtures_ = memory.take(GRID_HIGH * call.value_dim * LANES);
      copy_ = memory.take(LANES * round_up(call.value_dim, LANES));
    });
    const Index key_head = head / (call.heads / call.key_heads);
    query_.begin(call.query, image_, batch, head, task.column);
    key_.begin(call.key, image_, batch, key_head, task.column - call.left);
    value_.begin(call.value, image_, batch, key_head, task.column - call.left);
  }

  void attend() {
    Index taken = max(task_.row - call_.up, 0);  // rows of keys
    for (Index r = task_.row; r < task_.row_stop; r += GRID_HIGH) {
      const Index rows = min(GRID_HIGH, task_.row_stop - r);
      for (; taken < min(r + rows + call_.down, image_.rows); ++taken) key_.take(taken), value_.take(taken);
      const float* queries[GRID_HIGH];
      for (Index m = 0; m < rows; ++m) query_.take(r + m);
      for (Index c = task_.column; c < task_.column_stop; c += LANES) {
        for (Index m = 0; m < rows; ++m) queries[m] = query_.row(r + m) + (c - task_.column);
        score_window(window_, image_, r, rows, call_.up, queries, query_.stride, key_, c - task_.column, call_.dim,
                     scores_);
        Vector scales[GRID_HIGH];
        for (Index m = 0; m < rows; ++m) scales[m] = weigh(r + m, c, scores_ + m * window_.size * LANES);
        mix(r, rows, c, scales);
      }
    }
  }

 private:
  // Scores to weights, under softmax still to be multiplied with what this gives.
  Vector weigh(Index r, Index c, float* scores) {
    const Vector count = window_.settle(image_, head_, r, c, scores), one = splat(1.f);
    const Span rows = window_.rows_in(image_, r);
    float* const first = scores + rows.low * window_.wide * LANES;
    float* const stop = scores + rows.high * window_.wide * LANES;
    Vector statistic, scale = one;
    if (call_.normalizer == Normalizer::softmax) {
      Vector most = splat(-INFINITE), total{};
      for (const float* x = first; x < stop; x += LANES) most = max(load(x), most);
      const Vector base = most == splat(-INFINITE) ? Vector{} : most;
      for (float* x = first; x < stop; x += LANES) {
        const Vector power = power_of_two(load(x) - base);
        store(x, power);
        total += power;
      }
      statistic = total == Vector{} ? splat(INFINITE) : base + logarithm(total);
      scale = total == Vector{} ? Vector{} : one / total;
    } else {
      const Vector seen = count < one ? one : count;
      statistic = call_.normalizer == Normalizer::relu ? one / seen : logarithm(seen);
      for (float* x = first; x < stop; x += LANES) store(x, weight_of(call_.normalizer, load(x), statistic));
    }
    const Index row = image_.start + r * image_.row_step;
    float* const to = call_.statistics + (batch_ * call_.heads + head_) * call_.rows + row;
    for (Index lane = 0; lane < min(LANES, task_.column_stop - c); ++lane)
      to[(c + lane) * image_.column_step] = statistic[lane];
    return scale;
  }

  void mix(Index r, Index rows, Index c, const Vector* scales) {
    const Index dim = call_.value_dim, wide = window_.wide, next_row = (window_.size - wide) * LANES;
    std::memset(mixtures_, 0, sizeof(float) * rows * dim * LANES);
    for (Index key = max(r - call_.up, 0); key < min(r + rows + call_.down, image_.rows); ++key) {
      const Index low = max(key - call_.down - r, 0), stop = min(key + call_.up - r + 1, rows);  // rows that see it
      const float* weights = scores_ + (low * window_.size + (key - r - low + call_.up) * wide) * LANES;
      const float* row = value_.row(key) + (c - task_.column);
      if (!call_.table_hides) {
        grid_mix(stop - low, weights, next_row, LANES, row, value_.stride, 1, wide, dim, mixtures_ + low * dim * LANES,
                 dim * LANES);
        continue;
      }
      for (Index m = low; m < stop; ++m, weights += next_row)  // what is hidden may be NaN
        for (Index j = 0; j < wide; ++j)
          if (window_.bias(head_, key - r - m + call_.up, j) != -INFINITE)
            grid_mix(1, weights + j * LANES, 0, LANES, row + j, value_.stride, 1, 1, dim, mixtures_ + m * dim * LANES,
                     0);
    }
    for (Index m = 0; m < rows; ++m)
      put_turned(mixtures_ + m * dim * LANES, dim, scales[m], false, copy_, row_of(call_.output, image_, r + m), batch_,
                 head_, c, min(LANES, task_.column_stop - c));
  }

  const Call& call_;
  const GridTask& task_;
  const Image& image_;
  const GridWindow window_;
  const Index batch_, head_;
  TurnedRows query_, key_, value_;
  float *scores_, *mixtures_, *copy_;
};

inline void grid_forward(const Call& call) {
  Index count;
  const Memory<GridTask> tasks = grid_tasks(call, count);
  const Index planes = call.batch * call.heads;
  in_parallel(count * planes, call.threads, [&](Index i) {
    const Index plane = i / count;
    GridForward(call, tasks[i % count], plane / call.heads, plane % call.heads).attend();
  });
}

}  // namespace regard::REGARD_ISA
