// What backward adds up: gradients in float32, where they are wanted or until they are narrowed.
#pragma once

#include "block.h"

namespace regard::REGARD_ISA {

// Sums of floats, for each plane and row as many as it has columns.
struct Sums {
  float* data;
  Index plane, row;

  float* at(Index of_plane, Index of_row) const { return data + of_plane * plane + of_row * row; }
};
struct AllSums {
  Sums query, key, value;
  Index first;  // plane of key heads: the first that there are sums of
};

// Where sums cannot be made where they are wanted: floats of a few planes, then narrowed.
class FloatsOfPlanes {
 public:
  // Of key heads: the floats of a few stay in the cache until they are narrowed.
  static Index planes_at_once(const Call& call) {
    const Index planes = call.batch * call.key_heads;
    return in_place(call) ? planes : min(planes, max(1, (8 << 20) / max(1, floats_of_plane(call))));
  }

  explicit FloatsOfPlanes(const Call& call)
      : call_(call), query_(call.heads / call.key_heads * call.rows * call.dim), key_(call.keys * call.dim),
        value_(call.keys * call.value_dim),
        floats_(in_place(call) ? Memory<float>() : Memory<float>(planes_at_once(call) * floats_of_plane(call))) {}

  // Of `count` planes of key heads, all zero.
  AllSums sums(const Gradients& out, Index first, Index count) const {
    const auto those_of = [](const Array& x) { return Sums{static_cast<float*>(x.data), x.head, x.row}; };
    if (!floats_) return {those_of(out.query), those_of(out.key), those_of(out.value), 0};
    const Index size = count * (query_ + key_ + value_), part = 1 << 16;
    in_parallel((size + part - 1) / part, call_.threads,
                [&](Index i) { std::memset(floats_ + i * part, 0, sizeof(float) * min(part, size - i * part)); });
    float *key = floats_ + count * query_, *value = key + count * key_;
    return {
        {floats_, call_.rows * call_.dim, call_.dim}, {key, key_, call_.dim}, {value, value_, call_.value_dim}, first};
  }

  void put(const Gradients& out, Index first, Index count) const {
    if (!floats_) return;
    const Index groups = call_.heads / call_.key_heads;
    float *key = floats_ + count * query_, *value = key + count * key_;
    put(floats_, first * groups, count * groups, call_.heads, call_.rows, call_.dim, out.query);
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
  const Index query_, key_, value_;  // floats of a plane
  const Memory<float> floats_;       // null: sums are made in place
};

}  // namespace regard::REGARD_ISA
