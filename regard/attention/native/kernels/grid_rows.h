// Windows over rows and columns: lanes are neighbouring columns of one row of an image. Rows are turned, channels by
// columns, so that what a vector of queries sees at one offset of the window is one load, and every product is of a query
// and a key that it sees: no tile sticks out of the window, and nothing hidden is ever multiplied.
#pragma once

#include "block.h"

namespace regard::REGARD_ISA {

// As many sums as registers hold: rows by offsets of a score, rows by channels of a mixture.
constexpr int GRID_HIGH = LANES == 16 ? 3 : 2, GRID_OFFSETS = LANES == 16 ? 8 : 4, GRID_CHANNELS = LANES == 16 ? 8 : 4;
constexpr Index GRID_COLUMNS = 64, GRID_ROWS = 64;  // of the pixels of a task, if the image has as many

template <int n>
struct Count {
  static constexpr int value = n;
};
// Calls `task` with a number from 1 to N that the compiler knows.
template <int N, class Task>
inline void with_count(Index n, const Task& task) {
  if constexpr (N > 1)
    if (n < N) return with_count<N - 1>(n, task);
  task(Count<N>{});
}

// Scores [M][N * score_n] of M rows of queries against N offsets of one row of keys, all turned.
template <int M, int N>
REGARD_NOINLINE void grid_scores(const float* const* queries, Index query_d, const float* key, Index key_d, Index dim,
                                 float* scores, Index score_m, Index score_n) {
  Vector sums[M][N]{};
  const float* query[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) query[m] = queries[m];
  for (Index d = 0; d < dim; ++d, key += key_d) {
    Vector x[M];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) x[m] = load(query[m] + d * query_d);
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      const Vector y = load(key + n);
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) sums[m][n] += x[m] * y;
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) store(scores + m * score_m + n * score_n, sums[m][n]);
}

// Adds to mixtures [M][N * LANES] what `offsets` neighbours of one row, [N * row_d] channels of it, weigh for M rows.
template <int M, int N>
REGARD_NOINLINE void grid_mix(const float* weights, Index weight_m, Index weight_n, const float* row, Index row_d,
                              Index row_n, Index offsets, float* mixtures, Index mixture_m) {
  Vector sums[M][N];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int d = 0; d < N; ++d) sums[m][d] = load(mixtures + m * mixture_m + d * LANES);
  for (Index n = 0; n < offsets; ++n, weights += weight_n, row += row_n) {
    Vector weight[M];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) weight[m] = load(weights + m * weight_m);
#pragma GCC unroll 8
    for (int d = 0; d < N; ++d) {
      const Vector x = load(row + d * row_d);
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) sums[m][d] += weight[m] * x;
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int d = 0; d < N; ++d) store(mixtures + m * mixture_m + d * LANES, sums[m][d]);
}

// The same of all channels.
inline void grid_mix(Index rows, const float* weights, Index weight_m, Index weight_n, const float* row, Index row_d,
                     Index row_n, Index offsets, Index dim, float* mixtures, Index mixture_m) {
  with_count<GRID_HIGH>(rows, [&](auto m) {
    for (Index d = 0; d < dim; d += GRID_CHANNELS)
      with_count<GRID_CHANNELS>(min(GRID_CHANNELS, dim - d), [&](auto n) {
        grid_mix<m.value, n.value>(weights, weight_m, weight_n, row + d * row_d, row_d, row_n, offsets,
                                   mixtures + d * LANES, mixture_m);
      });
  });
}

// One row of an image as an array of its pixels.
inline Array row_of(const Array& x, const Image& image, Index row) {
  Array pixels = x;
  const Index place = (image.start + row * image.row_step) * x.row, size = x.type == Type::float32 ? 4 : 2;
  pixels.data = static_cast<char*>(x.data) + place * size;
  pixels.row = x.row * image.column_step;
  return pixels;
}

// Some rows of an image that follow each other, turned: [rows][dim][stride], columns from `first` on. Those outside of
// the image are zero.
class TurnedRows {
 public:
  // Of so many columns, which whole vectors may reach beyond.
  void lay_out(Scratch& memory, Index rows, Index dim, Index columns) {
    rows_ = rows, dim_ = dim, width_ = columns, stride = round_up(columns, LANES) + LANES;
    data_ = memory.take(rows * dim * stride);
    copy_ = memory.take(round_up(columns, LANES) * round_up(dim, LANES));
  }
  // For one head of an image, columns [first, ...).
  void begin(const Array& x, const Image& image, Index batch, Index head, Index first) {
    x_ = &x, image_ = &image, batch_ = batch, head_ = head;
    low_ = max(first, 0), high_ = min(first + width_, image.columns), first_ = first;
    std::memset(data_, 0, sizeof(float) * rows_ * dim_ * stride);
  }
  float* row(Index r) const { return data_ + r % rows_ * dim_ * stride; }
  void take(Index r) const {
    const Array pixels = row_of(*x_, *image_, r);
    const Index count = high_ - low_;
    if (count <= 0) return;
    const Rows rows = take_rows(pixels, batch_, head_, low_, count, dim_, 1, nullptr, copy_);
    float* to = row(r) + (low_ - first_);
    for (Index c = 0; c < count; c += LANES)
      for (Index d = 0; d < dim_; d += LANES) {
        Vector square[LANES];
        const float* from = rows.data + c * rows.stride + d;
        const Index there = min(LANES, count - c);
        if (there == LANES)
#pragma GCC unroll 16
          for (int i = 0; i < LANES; ++i) square[i] = load(from + i * rows.stride);
        else
          for (int i = 0; i < LANES; ++i) square[i] = i < there ? load(from + i * rows.stride) : Vector{};
        turn(square);
        for (int i = 0; i < min(LANES, dim_ - d); ++i) store(to + (d + i) * stride + c, square[i]);
      }
  }

  Index stride = 0;

 private:
  float *data_ = nullptr, *copy_ = nullptr;
  const Array* x_ = nullptr;
  const Image* image_ = nullptr;
  Index rows_ = 0, dim_ = 0, width_ = 0, batch_ = 0, head_ = 0, first_ = 0, low_ = 0, high_ = 0;
};

// A vector of pixels [dim][LANES], each times `scale`, to its place in a row, or added to what is there.
REGARD_NOINLINE void put_turned(const float* turned, Index dim, Vector scale, bool add, float* copy, const Array& row,
                                Index batch, Index head, Index first, Index count) {
  const Index stride = round_up(dim, LANES);
  for (Index d = 0; d < dim; d += LANES) {
    Vector square[LANES];
    for (int i = 0; i < LANES; ++i) square[i] = d + i < dim ? load(turned + (d + i) * LANES) * scale : Vector{};
    turn(square);
    for (int i = 0; i < LANES; ++i) store(copy + i * stride + d, square[i]);
  }
  if (!add) return put_rows({copy, stride}, count, dim, row, batch, head, first);
  float* to = static_cast<float*>(row.data) + batch * row.batch + head * row.head + first * row.row;
  for (Index n = 0; n < count; ++n, to += row.row)
    for (Index d = 0; d < dim; ++d) to[d] += copy[n * stride + d];
}

// The window of a call, and what a head adds to its scores.
class GridWindow {
 public:
  const Index high, wide, size;

  explicit GridWindow(const Call& call)
      : high(call.up + call.down + 1), wide(call.left + call.right + 1), size(high * wide), call_(call) {}

  // The rows of a window that lie in an image: offsets i of a query in row r.
  Span rows_in(const Image& image, Index r) const {
    return {max(call_.up - r, 0), min(high, image.rows - r + call_.up)};
  }
  // Of lanes that begin with column c: which of them see a key at offset j, themselves being in the image.
  Integers sees(const Image& image, Index c, Index j) const {
    const Integers column = lane_numbers() + int(c), key = column + int(j - call_.left);
    return (column >= 0) & (column < int(image.columns)) & (key >= 0) & (key < int(image.columns));
  }
  bool all_see(const Image& image, Index c) const {
    return c - call_.left >= 0 && c + LANES + call_.right <= image.columns;
  }
  float bias(Index head, Index i, Index j) const {
    return call_.row_table ? call_.row_table[head * high + i] + call_.table[head * wide + j] : 0;
  }

  // Scores [size][LANES] of lanes that begin with column c of row r: scaled, with the bias, -inf where a lane does not
  // see. Gives how many keys each lane sees.
  REGARD_NOINLINE Vector settle(const Image& image, Index head, Index r, Index c, float* scores) const {
    const Span rows = rows_in(image, r);
    const float factor = log2_factor(call_);
    const Vector scale = splat(call_.scale * factor), one = splat(1.f);
    const bool whole = all_see(image, c);
    Vector seen{};
    for (Index i = rows.low; i < rows.high; ++i)
      for (Index j = 0; j < wide; ++j) {
        float* const place = scores + (i * wide + j) * LANES;
        const float added = bias(head, i, j);
        const bool hidden = added == -INFINITE;  // and not where only its product with the factor is
        const Integers see = whole ? Integers{} - 1 : sees(image, c, j);
        const Vector x = hidden ? splat(-INFINITE) : load(place) * scale + splat(added * factor);
        store(place, see ? x : splat(-INFINITE));
        if (!hidden) seen += see ? one : Vector{};
      }
    return seen;
  }

 private:
  const Call& call_;
};

// Scores of up to GRID_HIGH rows of queries from row r on, turned, and of one vector of each, against the rows of keys
// that they see: [rows][size][LANES].
inline void score_window(const GridWindow& window, const Image& image, Index r, Index rows, Index up,
                         const float* const* queries, Index query_stride, const TurnedRows& keys, Index column,
                         Index dim, float* scores) {
  const Index parts = (window.wide + GRID_OFFSETS - 1) / GRID_OFFSETS, part = (window.wide + parts - 1) / parts;
  for (Index key = max(r - up, 0); key < min(r + rows - 1 - up + window.high, image.rows); ++key) {
    const Index low = max(key + up - window.high + 1 - r, 0), stop = min(key + up - r + 1, rows);  // rows that see it
    float* const to = scores + (low * window.size + (key - r - low + up) * window.wide) * LANES;
    const Index next_row = (window.size - window.wide) * LANES;
    with_count<GRID_HIGH>(stop - low, [&](auto m) {
      for (Index j = 0; j < window.wide; j += part)
        with_count<GRID_OFFSETS>(min(part, window.wide - j), [&](auto n) {
          grid_scores<m.value, n.value>(queries + low, query_stride, keys.row(key) + column + j, keys.stride, dim,
                                        to + j * LANES, next_row, LANES);
        });
    });
  }
}

// Runs of rows by runs of columns of the pixels of one image.
struct GridTask {
  const Image* image;
  Index row, row_stop, column, column_stop;
};

// All of a call, in order.
inline Index count_tasks(const Call& call) {
  Index count = 0;
  for (Index n = 0; n < call.image_count; ++n)
    count += ((call.images[n].rows + GRID_ROWS - 1) / GRID_ROWS) *
             ((call.images[n].columns + GRID_COLUMNS - 1) / GRID_COLUMNS);
  return count;
}
inline Memory<GridTask> grid_tasks(const Call& call, Index& count) {
  count = count_tasks(call);
  Memory<GridTask> tasks(count);
  GridTask* next = tasks;
  for (Index n = 0; n < call.image_count; ++n) {
    const Image& image = call.images[n];
    for (Index row = 0; row < image.rows; row += GRID_ROWS)
      for (Index column = 0; column < image.columns; column += GRID_COLUMNS)
        *next++ = {&image, row, min(row + GRID_ROWS, image.rows), column, min(column + GRID_COLUMNS, image.columns)};
  }
  return tasks;
}

}  // namespace regard::REGARD_ISA
