// Keys and values as the panels that forward multiplies with.
#pragma once

#include "block.h"

namespace regard::REGARD_ISA {

inline Index per_float(const Call& call) { return in_pairs(call) ? 2 : 1; }
inline Index key_depth(const Call& call) { return (call.dim + per_float(call) - 1) / per_float(call); }  // of a panel
inline Index value_depth(const Call& call, Index keys) { return (keys + per_float(call) - 1) / per_float(call); }

// Keys [count] from `first` on, or their values, as panels; `raw` is for what cannot be read where it lies. True if all
// are finite.
inline bool pack_keys(const Call& call, Index batch, Index head, Index first, Index count, float* raw, float* panels) {
  const bool* attended = call.key_mask ? call.key_mask + batch * call.keys + first : nullptr;
  if (!in_pairs(call)) {
    const Rows key = take_rows(call.key, batch, head, first, count, call.dim, 1, attended, raw);
    return by_rows(key, count, call.dim, call.scale * log2_factor(call), panels);
  }
  const Rows key = take_pairs(call.key, batch, head, first, count, call.dim, attended, raw);
  return by_rows<true>(key, count, key_depth(call), 1, panels);
}
inline bool pack_values(const Call& call, Index batch, Index head, Index first, Index count, float* raw, float* panels,
                        Index depth) {
  const bool* attended = call.key_mask ? call.key_mask + batch * call.keys + first : nullptr;
  const auto take = in_pairs(call) ? take_row_pairs : take_all_rows;
  const Rows value = take(call.value, batch, head, first, count, call.value_dim, attended, raw);
  const auto pack = in_pairs(call) ? by_columns<true> : by_columns<false>;
  return pack(value, value_depth(call, count), round_up(call.value_dim, LANES), panels, depth);
}

struct Panels {
  float *key, *value;
  Index value_depth;
  bool finite;
};

// The panels of a few planes of key heads, where blocks of rows share them.
class SharedPanels {
 public:
  SharedPanels(const Call& call, bool wanted) : call_(call), planes_(call.batch * call.key_heads) {
    if (!wanted) return;
    starts_ = Memory<Index>(call.sequence_count + 1);
    starts_[0] = 0;
    for (Index s = 0; s < call.sequence_count; ++s)
      starts_[s + 1] = starts_[s] + round_up(call.sequences[s].key_stop - call.sequences[s].key_start, PART);
    key_size_ = key_depth(call), value_size_ = round_up(call.value_dim, WIDE);
    plane_size_ = keys() * (key_size_ + value_size_);
    planes_ = min(planes_, max(1, (8 << 20) / max(1, plane_size_)));
    floats_ = Memory<float>(planes_ * plane_size_);
    finite_ = Memory<bool>(planes_ * call.sequence_count);
  }

  Index planes_at_once() const { return planes_; }

  void pack(Index first_plane, Index count) {
    if (!floats_) return;
    first_plane_ = first_plane;
    std::memset(finite_, true, count * call_.sequence_count);
    const Index parts = keys() / PART;
    in_parallel(count * parts, call_.threads, [&](Index i) {
      const Index plane = first_plane + i / parts, place = i % parts * PART, s = sequence_at(place);
      const Index batch = plane / call_.key_heads, head = plane % call_.key_heads;
      const Index done = place - starts_[s], first = call_.sequences[s].key_start + done;
      const Index there = min(PART, call_.sequences[s].key_stop - first);
      float* raw = nullptr;
      scratch().lay_out([&](Scratch& memory) {
        raw = memory.take(PART * round_up(max(call_.dim, call_.value_dim), LANES));
      });
      const Panels panels = of(plane, call_.sequences[s]);
      const bool finite_keys = pack_keys(call_, batch, head, first, there, raw, panels.key + done * key_size_);
      const bool finite_values = pack_values(call_, batch, head, first, there, raw,
                                             panels.value + done / per_float(call_) * WIDE, panels.value_depth);
      if (!finite_keys || !finite_values) __atomic_store_n(&finite_[number(plane, s)], false, __ATOMIC_RELAXED);
    });
  }

  Panels of(Index plane, const Sequence& sequence) const {
    const Index s = &sequence - call_.sequences;
    float* key = floats_ + (plane - first_plane_) * plane_size_;
    return {key + starts_[s] * key_size_, key + keys() * key_size_ + starts_[s] * value_size_,
            value_depth(call_, sequence.key_stop - sequence.key_start),
            __atomic_load_n(&finite_[number(plane, s)], __ATOMIC_RELAXED)};
  }

 private:
  static constexpr Index PART = 3 * WIDE;  // keys that are packed together

  Index keys() const { return starts_[call_.sequence_count]; }
  Index number(Index plane, Index s) const { return (plane - first_plane_) * call_.sequence_count + s; }
  Index sequence_at(Index place) const {
    Index low = 0, high = call_.sequence_count;  // it starts at or before the place, the next after it
    while (high - low > 1) {
      const Index middle = (low + high) / 2;
      (starts_[middle] <= place ? low : high) = middle;
    }
    return low;
  }

  const Call& call_;
  Index planes_, first_plane_ = 0, key_size_ = 0, value_size_ = 0, plane_size_ = 0;
  Memory<Index> starts_;
  Memory<float> floats_;
  Memory<bool> finite_;
};

}  // namespace regard::REGARD_ISA
