// The keys that each row of a block sees.
#pragma once

#include "forward_sizes.h"

namespace regard::REGARD_ISA {

// Limits of the block's rows, counted from the first key that any of them sees. Both rise with the row.
class SeenKeys {
 public:
  Index first, last;  // [first, last) of all keys are seen by some

  SeenKeys(const Call& call, const RowBlock& block)
      : first(seen_by(call, *block.sequence, block.row_start).low),
        last(seen_by(call, *block.sequence, block.row_stop - 1).high), call_(call), block_(block),
        rows_(block.row_stop - block.row_start) {}

  void lay_out(Scratch& memory, Index rows) {
    lows_ = memory.take<std::int32_t>(rows + LANES);
    highs_ = memory.take<std::int32_t>(rows + LANES);
  }
  void fill() {
    for (Index r = 0; r < rows_ + LANES; ++r) {
      const Span seen = seen_by(call_, *block_.sequence, min(block_.row_start + r, block_.row_stop - 1));
      lows_[r] = std::int32_t(seen.low - first), highs_[r] = std::int32_t(seen.high - first);
    }
  }

  // The keys of an area that some of rows [row, stop) see.
  Span by_rows(const Area& area, Index row, Index stop) const {
    return within({first + lows_[row], first + highs_[stop - 1]}, area.key_start, area.key_stop);
  }
  // In each lane the limits of its row.
  Integers lows(const Area& area, Index row) const { return in_area(area, lows_ + row); }
  Integers highs(const Area& area, Index row) const { return in_area(area, highs_ + row); }
  // Whether an area has all that rows [row, stop) see, at least `width` keys each, which begin and end one later with each.
  bool slides(const Area& area, Index row, Index stop, Index width) const {
    const Index steps = stop - 1 - row;
    return lows_[stop - 1] - lows_[row] == steps && highs_[stop - 1] - highs_[row] == steps &&
           highs_[row] - lows_[row] >= width && first + lows_[row] >= area.key_start &&
           first + highs_[stop - 1] <= area.key_stop;
  }

 private:
  Integers in_area(const Area& area, const std::int32_t* limits) const {
    Integers x;
    std::memcpy(&x, limits, sizeof x);
    const Integers start = Integers{} + int(area.key_start - first), stop = Integers{} + int(area.key_stop - first);
    return (x < start ? start : x > stop ? stop : x) - start;
  }

  const Call& call_;
  const RowBlock& block_;
  const Index rows_;
  std::int32_t *lows_ = nullptr, *highs_ = nullptr;
};

}  // namespace regard::REGARD_ISA
