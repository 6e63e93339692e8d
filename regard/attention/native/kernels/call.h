// One call as the kernels read it: pointers, strides and choices, all checked by the caller. The same for every
// instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace regard {

using Index = std::int64_t;

enum class Type { float32, bfloat16, float16 };
enum class Normalizer { softmax, relu, sigmoid };

// [B, H, N, D] by its strides, counted in elements; a ragged [T, H, D] has one batch entry.
struct Array {
  void* data;
  Type type;
  Index batch, head, row, column;
};

// Rows of the queries and of the keys, as they stand in the arrays.
struct Sequence {
  Index row_start, row_stop, key_start, key_stop;
};

// One image as it stands among the rows of the arrays: its pixel (r, c) is row start + r * row_step + c * column_step.
struct Image {
  Index start, rows, columns, row_step, column_step;
};

struct Call {
  Array query, key, value;
  Array output;
  float* statistics;  // [B, H, Q]: what backward needs of each row beside its scores
  const Sequence* sequences;
  Index sequence_count;
  bool ragged;
  Index batch, heads, key_heads, rows, keys, dim, value_dim;
  Normalizer normalizer;
  Index left, right;  // -1: no limit
  Index query_start;
  float scale;
  const float* additive;  // [H, D] its weight; null: the dot product
  const float* table;     // [H, table_width], a relative bias; null: none
  Index table_left, table_width;
  bool table_hides;     // some of it, or of its sums with row_table, may be -inf
  const bool* key_mask;  // [B, K]; null: all keys may be attended
  double dropout;
  std::uint64_t seed;
  bool part;  // rows see other keys too: statistics, and inner in backward, are those of all keys, and given
  Index first_row, first_key;  // of a call that is a part of another: where it stands in it, for dropout
  int threads;

  // Of windows over rows and columns: `table` [H, left+right+1] and `row_table` have an entry for each offset.
  const Image* images;
  Index image_count;
  Index up, down;
  const float* row_table;  // [H, up+down+1]; null: none
};

// What backward reads and writes, beside the call. Those by query, key and value lie contiguous; those by table and weight
// start at zero, with one share for each run of rows, to be summed in order.
struct Gradients {
  Array grad;               // by the output
  Array query, key, value;  // of one type
  float *table_parts, *weight_parts;  // [runs, H, table_width], [runs, H, D]; null: not wanted
  float* row_table_parts;             // [runs, H, up+down+1]
  float* inner;                    // [B, H, Q] workspace: output . grad
};

// What is thrown where there is no memory; Python raises a MemoryError for it. It is defined in module.cpp, since what is
// inline here would be compiled for every instruction set, and any of them run by all.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::size_t bytes) noexcept;
  OutOfMemory(const OutOfMemory&) noexcept;
  ~OutOfMemory() override;
  const char* what() const noexcept override;
  const std::size_t bytes;

 private:
  char text_[160];
};
[[noreturn]] void out_of_memory(std::size_t bytes);

struct Kernels {
  const char* name;
  void (*forward)(const Call&);
  void (*backward)(const Call&, const Gradients&);
  void (*weights)(const Call&, float* band, Index width);  // [B, H, Q, width] or [T, H, width], of zeros
  Index (*row_runs)(const Call&);  // how many shares of a sum backward makes
  void (*grid_forward)(const Call&);
  void (*grid_backward)(const Call&, const Gradients&);
  Index (*grid_runs)(const Call&);
};

}  // namespace regard
