// How forward cuts its work: rows in a block, keys in a chunk.
#pragma once

#include "block.h"

namespace regard::REGARD_ISA {

constexpr Index SUMMED = 320;  // keys whose weighted values are summed by themselves before they join the sum of all
constexpr int TALL = 2 * HIGH;  // rows whose scores are held at a time, so that a panel read once serves two tiles

struct ForwardSizes {
  static constexpr Index BLOCKS = 64;  // of rows, if there are enough of them
  Index rows, keys;                    // in a block, in a chunk
  Index packed_at_once;                // keys
  Index dim, value_dim;                // filled up to whole vectors
  Index value_panels;
  bool shared;  // panels: all blocks of rows begin with the first key of their sequence, and most have several blocks

  explicit ForwardSizes(const Call& call) {
    dim = round_up(call.dim, LANES), value_dim = round_up(call.value_dim, LANES);
    value_panels = (value_dim + WIDE - 1) / WIDE;
    Index most_rows = 0, most_keys = 0;
    for (Index s = 0; s < call.sequence_count; ++s) {
      const Sequence& sequence = call.sequences[s];
      most_rows = max(most_rows, sequence.row_stop - sequence.row_start);
      most_keys = max(most_keys, sequence.key_stop - sequence.key_start);
    }
    const Index budget = max(24576 / (dim + value_dim), 48);  // of rows or keys: 96 KiB
    // The longer a block, the fewer keys are packed again for the next; but all threads shall have some.
    const Index share = all_rows(call) * call.batch * call.key_heads / BLOCKS;
    rows = min(round_up(max(share, 96), TALL), (call.additive ? 2 : 8) * budget / TALL * TALL);
    rows = max(1, min(rows, most_rows));
    if (call.left >= 0 && call.right >= 0 && call.left + call.right <= 4 * budget)
      keys = min(most_keys, call.left + call.right + rows);  // rows move on along them: few are in use at a time
    else
      keys = min(most_keys, 4 * budget);
    keys = round_up(max(1, keys), WIDE);
    packed_at_once = call.additive ? keys : min(keys, 3 * WIDE);  // additive scores must know the largest of them
    shared = !call.additive && call.left < 0 && all_rows(call) > rows * call.sequence_count;
  }
};

}  // namespace regard::REGARD_ISA
