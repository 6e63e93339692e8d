// The keys and values of a chunk as rows, where they lie or as copies.
#pragma once

#include "forward_sizes.h"
#include "scores.h"

namespace regard::REGARD_ISA {

// Copies are made as far as they are needed: they are used while they are in the cache.
class KeysAtHand {
 public:
  KeysAtHand(const Call& call, const ForwardSizes& size, Index batch, Index head)
      : call_(call), size_(size), batch_(batch), head_(head), pairs_(in_pairs(call)) {}

  void lay_out(Scratch& memory) {
    key_copy_ = memory.take(size_.keys * size_.dim);
    value_copy_ = memory.take(size_.keys * size_.value_dim);
  }

  Rows key{}, value{};  // of pairs of bfloat16: a key's neighbouring channels, neighbouring values

  void begin(const Area& area) {
    taken_ = asked_for_ = 0;
    next_key_ = {call_.key, batch_, head_, area.key_start, call_.dim};
    next_value_ = {call_.value, batch_, head_, area.key_start, call_.value_dim};
    key = take_key(area, 0, 0), value = take_value(area, 0, 0);
  }

  // At least the first `count` keys of the area.
  void take(const Area& area, Index count) {
    const bool copied_keys = key.data == key_copy_, copied_values = value.data == value_copy_;
    if (!copied_keys && !copied_values) taken_ = max(taken_, count);
    for (; taken_ < count; taken_ = min(taken_ + AT_ONCE, area.keys())) {
      const Index some = min(AT_ONCE, area.keys() - taken_);
      if (copied_keys) take_key(area, taken_, some);
      if (copied_values) take_value(area, taken_, some);
    }
    const Index too_late = max(taken_ - asked_for_, 0);
    next_key_.skip(too_late), next_value_.skip(too_late);
    asked_for_ += too_late;
  }

  // Asks for up to `count` more of those that will soon be taken.
  REGARD_INLINE void prefetch(const Area& area, Index count) {
    const Index some = min(count, min(taken_ + AT_ONCE, area.sequence.key_stop - area.key_start) - asked_for_);
    next_key_.ask(some), next_value_.ask(some);
    asked_for_ += max(some, 0);
  }

  float most_magnitude() const { return REGARD_ISA::most_magnitude(key, taken_, size_.dim); }
  void double_exponentials() { key = doubled_exponentials(key, taken_, size_.dim, key_copy_); }

 private:
  static constexpr Index AT_ONCE = 3 * WIDE;

  Rows take_key(const Area& area, Index first, Index count) const {
    const bool* attended = area.attended() ? area.attended() + first : nullptr;
    if (pairs_)
      return take_pairs(call_.key, batch_, head_, area.key_start + first, count, call_.dim, attended,
                        key_copy_ + first * round_up((call_.dim + 1) / 2, LANES));
    return take_rows(call_.key, batch_, head_, area.key_start + first, count, call_.dim, 1, attended,
                     key_copy_ + first * size_.dim);
  }
  Rows take_value(const Area& area, Index first, Index count) const {
    const bool* attended = area.attended() ? area.attended() + first : nullptr;
    if (pairs_)
      return take_row_pairs(call_.value, batch_, head_, area.key_start + first, count, call_.value_dim, attended,
                            value_copy_ + first / 2 * size_.value_dim);
    return take_rows(call_.value, batch_, head_, area.key_start + first, count, call_.value_dim, 1, attended,
                     value_copy_ + first * size_.value_dim);
  }

  const Call& call_;
  const ForwardSizes& size_;
  const Index batch_, head_;
  const bool pairs_;
  Index taken_ = 0, asked_for_ = 0;
  Wanted next_key_, next_value_;
  float *key_copy_ = nullptr, *value_copy_ = nullptr;
};

}  // namespace regard::REGARD_ISA
