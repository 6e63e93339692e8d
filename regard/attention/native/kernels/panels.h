// Keys and values as the panels that forward multiplies with.
#pragma once

#include "block.h"

namespace regard::REGARD_ISA {

inline Index per_float(const Call& call) { return in_pairs(call) ? 2 : 1; }
inline Index key_depth(const Call& call) { return (call.dim + per_float(call) - 1) / per_float(call); }  // of a panel
inline Index value_depth(const Call& call, Index keys) { return (keys + per_float(call) - 1) / per_float(call); }

// Keys [count] from `first` on, or their values, as panels; `raw` is for what cannot be read where it lies.
inline void pack_keys(const Call& call, Index batch, Index head, Index first, Index count, float* raw, float* panels) {
  const bool* attended = call.key_mask ? call.key_mask + batch * call.keys + first : nullptr;
  if (!in_pairs(call)) {
    const Rows key = take_rows(call.key, batch, head, first, count, call.dim, 1, attended, raw);
    by_rows<false, false>(key, count, call.dim, call.scale * log2_factor(call), panels);
    return;
  }
  const Rows key = take_pairs(call.key, batch, head, first, count, call.dim, attended, raw);
  by_rows<true, false>(key, count, key_depth(call), 1, panels);
}
inline void pack_values(const Call& call, Index batch, Index head, Index first, Index count, float* raw, float* panels,
                        Index depth) {
  const bool* attended = call.key_mask ? call.key_mask + batch * call.keys + first : nullptr;
  const auto take = in_pairs(call) ? take_row_pairs : take_all_rows;
  const Rows value = take(call.value, batch, head, first, count, call.value_dim, attended, raw);
  by_columns(value, value_depth(call, count), round_up(call.value_dim, LANES), panels, depth);
}

struct Panels {
  float *key, *value;
  Index value_row, value_across;  // from a value to the next, and from WIDE columns of all to the next
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
  }

  Index planes_at_once() const { return planes_; }

  void pack(Index first_plane, Index count) {
    if (!floats_) return;
    first_plane_ = first_plane;
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
      pack_keys(call_, batch, head, first, there, raw, panels.key + done * key_size_);
      pack_values(call_, batch, head, first, there, raw, panels.value + done / per_float(call_) * WIDE,
                  panels.value_across / WIDE);
    });
  }

  Panels of(Index plane, const Sequence& sequence) const {
    const Index s = &sequence - call_.sequences;
    float* key = floats_ + (plane - first_plane_) * plane_size_;
    return {key + starts_[s] * key_size_, key + keys() * key_size_ + starts_[s] * value_size_, WIDE,
            value_depth(call_, sequence.key_stop - sequence.key_start) * WIDE};
  }

 private:
  static constexpr Index PART = 3 * WIDE;  // keys that are packed together

  Index keys() const { return starts_[call_.sequence_count]; }
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
};

}  // namespace regard::REGARD_ISA
