// What backward adds up: gradients in float32, where they are wanted or until they are narrowed.
#pragma once

#include "block.h"

namespace regard::REGARD_ISA {

// What is known of a block of rows or of keys: the first area that comes to it looks it over, and begins its sums.
enum class Met : unsigned char { never, before, careful };  // careful: with numbers that are not finite

// Sums of floats, for each plane and row as many as it has columns. Nothing stands there before a block is met.
struct Sums {
  float* data;
  Index plane, row, columns;
  Met* met;  // [planes][rows], at a block's first row
  Index rows;

  float* at(Index of_plane, Index of_row) const { return data + of_plane * plane + of_row * row; }
  Met& met_at(Index of_plane, Index first) const { return met[of_plane * rows + first]; }
  void clear(Index of_plane, Index first, Index count) const {
    for (Index n = 0; n < count; ++n) std::memset(at(of_plane, first + n), 0, sizeof(float) * columns);
  }
  // The blocks of rows [start, stop) that no area has come to.
  void clear_unmet(Index of_plane, Index start, Index stop, Index block) const {
    for (Index first = start; first < stop; first += block)
      if (met_at(of_plane, first) == Met::never) clear(of_plane, first, min(block, stop - first));
  }
};

// Sums of a block: where they are wanted, or in a copy, whose rows are whole vectors, that is added to them in the end.
class BlockSums {
 public:
  Index stride = 0, columns = 0;
  bool has_begun = false;  // or nothing stands there yet

  BlockSums() = default;
  BlockSums(const Sums& sums, Index plane, Index first, Index count, Met met, Index dim, float* copy)
      : stride(copy ? dim : sums.row), columns(dim), has_begun(!copy && met != Met::never), sums_(&sums),
        wanted_(sums.at(plane, first)), rows_(copy ? copy : wanted_), count_(count) {
    if (copy && met == Met::never) sums.clear(plane, first, count);
  }
  float* row(Index n) const { return rows_ + n * stride; }
  void clear(Index first, Index count) const {
    for (Index n = first; n < first + count; ++n) std::memset(row(n), 0, sizeof(float) * columns);
  }
  void begin() {
    if (!has_begun) clear(0, count_);
    has_begun = true;
  }
  void multiply(const float* by_column) const {
    for (Index n = 0; n < count_; ++n)
      for (Index d = 0; d < columns; ++d) row(n)[d] *= by_column[d];
  }
  void put() const {
    for (Index n = 0; rows_ != wanted_ && n < count_; ++n)
      for (Index d = 0; d < sums_->columns; ++d) wanted_[n * sums_->row + d] += row(n)[d];
  }

 private:
  const Sums* sums_ = nullptr;
  float *wanted_ = nullptr, *rows_ = nullptr;
  Index count_ = 0;
};

struct AllSums {
  Sums query, key, value;
  Index first;  // plane of key heads: the first that there are sums of
};

// Sums where they are wanted, or where that cannot be, floats of a few planes, which are then narrowed.
class FloatsOfPlanes {
 public:
  // Of key heads: the floats of a few stay in the cache until they are narrowed.
  static Index planes_at_once(const Call& call) {
    const Index planes = call.batch * call.key_heads;
    return in_place(call) ? planes : min(planes, max(1, (8 << 20) / max(1, floats_of_plane(call))));
  }

  explicit FloatsOfPlanes(const Call& call)
      : call_(call), groups_(call.heads / call.key_heads), query_(groups_ * call.rows * call.dim),
        key_(call.keys * call.dim), value_(call.keys * call.value_dim),
        floats_(in_place(call) ? Memory<float>() : Memory<float>(planes_at_once(call) * floats_of_plane(call))),
        met_(planes_at_once(call) * (groups_ * call.rows + call.keys)) {}

  // Of `count` planes of key heads, none of them met.
  AllSums sums(const Gradients& out, Index first, Index count) const {
    Met *rows = met_, *keys = rows + count * groups_ * call_.rows;
    std::memset(rows, 0, count * (groups_ * call_.rows + call_.keys));
    const auto those_of = [](const Array& x, Index columns, Met* met, Index rows) {
      return Sums{static_cast<float*>(x.data), x.head, x.row, columns, met, rows};
    };
    if (!floats_)
      return {those_of(out.query, call_.dim, rows, call_.rows), those_of(out.key, call_.dim, keys, call_.keys),
              those_of(out.value, call_.value_dim, keys, call_.keys), 0};
    float *key = floats_ + count * query_, *value = key + count * key_;
    return {{floats_, call_.rows * call_.dim, call_.dim, call_.dim, rows, call_.rows},
            {key, key_, call_.dim, call_.dim, keys, call_.keys},
            {value, value_, call_.value_dim, call_.value_dim, keys, call_.keys},
            first};
  }

  void put(const Gradients& out, Index first, Index count) const {
    if (!floats_) return;
    float *key = floats_ + count * query_, *value = key + count * key_;
    put(floats_, first * groups_, count * groups_, call_.heads, call_.rows, call_.dim, out.query);
    put(key, first, count, call_.key_heads, call_.keys, call_.dim, out.key);
    put(value, first, count, call_.key_heads, call_.keys, call_.value_dim, out.value);
  }

 private:
  static bool in_place(const Call& call) { return call.query.type == Type::float32; }
  static Index floats_of_plane(const Call& call) {
    return call.heads / call.key_heads * call.rows * call.dim + call.keys * (call.dim + call.value_dim);
  }
  void put(const float* from, Index first, Index count, Index heads, Index rows, Index dim, const Array& to) const {
    const Index part = 256, parts = (rows + part - 1) / part;
    in_parallel(count * parts, call_.threads, [&](Index i) {
      const Index plane = i / parts, row = i % parts * part;
      put_rows({from + (plane * rows + row) * dim, dim}, min(part, rows - row), dim, to, (first + plane) / heads,
               (first + plane) % heads, row);
    });
  }

  const Call& call_;
  const Index groups_, query_, key_, value_;  // query heads, and floats, of a plane
  const Memory<float> floats_;                // null: sums are made in place
  const Memory<Met> met_;
};

}  // namespace regard::REGARD_ISA
