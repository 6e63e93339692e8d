// How forward cuts its work: rows in a block, keys in a chunk.
#pragma once

#include "block.h"

namespace regard::REGARD_ISA {

constexpr Index SUMMED = 320;  // keys whose weighted values are summed by themselves before they join the sum of all
constexpr int TALL = LANES == 16 ? 64 : 48;  // rows whose scores are held at a time: whole panels of their queries
constexpr Index FOLDED = 3 * LANES;  // keys that a row sees at least where it pays to fold them
constexpr Index BESIDE = HIGH + 1;  // how many keys, at most, a tile sees that one of its vectors does not

struct ForwardSizes {
  static constexpr Index BLOCKS = 64;  // of rows, if there are enough of them
  Index rows, keys;                    // in a block, in a chunk
  Index columns;                       // keys that TALL rows see of a chunk
  Index dim, value_dim;                // filled up to whole vectors

  explicit ForwardSizes(const Call& call) {
    dim = round_up(call.dim, LANES), value_dim = round_up(call.value_dim, LANES);
    Index most_rows = 0, most_keys = 0;
    for (Index s = 0; s < call.sequence_count; ++s) {
      const Sequence& sequence = call.sequences[s];
      most_rows = max(most_rows, sequence.row_stop - sequence.row_start);
      most_keys = max(most_keys, sequence.key_stop - sequence.key_start);
    }
    const Index budget = max(24576 / (dim + value_dim), 48);  // of rows or keys: 96 KiB
    // The longer a block, the fewer keys are packed again for the next; but all threads shall have some.
    const Index share = all_rows(call) * call.batch * call.key_heads / BLOCKS;
    rows = min(round_up(max(share, 96), TALL), max(TALL, (call.additive ? 2 : 8) * budget / TALL * TALL));
    rows = max(1, min(rows, most_rows));
    const bool windowed = call.left >= 0 && call.right >= 0 && call.left + call.right <= 4 * budget;
    // Rows move on along the keys of a window: few are in use at a time.
    keys = max(1, min(most_keys, windowed ? call.left + call.right + rows : 4 * budget));
    keys = round_up(keys, 2);  // pairs
    columns = windowed ? min(keys, round_up(call.left + call.right + TALL, 2) + 2) : keys;
  }
};

}  // namespace regard::REGARD_ISA
