// Scores that stand as [keys][TALL rows], as forward has them: what is done to a column of them, a vector of rows wide.
#pragma once

#include "forward_sizes.h"

namespace regard::REGARD_ISA {

// The largest of a column, in each lane.
inline Vector largest_scores(const float* scores, Index count) {
  Vector most = splat(-INFINITE), more = most;
  const float* const stop = scores + count / 2 * 2 * TALL;
  for (; scores < stop; scores += 2 * TALL) {
    most = max(load(scores), most);
    more = max(load(scores + TALL), more);
  }
  if (count % 2) most = max(load(scores), most);
  return max(most, more);
}

// A column to 2^(scale * score - base), and their sum in each lane.
inline Vector raise(float* scores, Index count, Vector scale, Vector base) {
  Vector total{};
  for (const float* const stop = scores + count * TALL; scores < stop; scores += TALL) {
    const Vector power = power_of_two(load(scores) * scale - base);
    store(scores, power);
    total += power;
  }
  return total;
}

// -inf in columns [first, stop) where a lane's row does not see: it sees keys [low, high).
inline void hide(float* scores, Index first, Index stop, Integers low, Integers high) {
  for (Index k = first; k < stop; ++k, scores += TALL) {
    const Integers key = Integers{} + int(k);
    store(scores, (low <= key) & (key < high) ? load(scores) : splat(-INFINITE));
  }
}

// A folded column gives back what its last keys hold of its first: there lane n has those after n, here those up to n.
inline void unfold(float* first, float* last) {
  for (Index n = 1; n < LANES; ++n, first += TALL, last += TALL) {
    const Lanes of_first = first_lanes(n);
    store(first, choose(of_first, load(last), Vector{}));
    store(last, choose(of_first, Vector{}, load(last)));
  }
}

}  // namespace regard::REGARD_ISA
