// Backward: weights again from what forward left, and the gradients of query, key, value and whatever else is learned.
// Work is a run of rows and a run of keys, area by area of their blocks. In each step every run of rows meets another run
// of keys, so that all of a step go on at once, each adding to sums that are its own: no atomics, and one order.
#pragma once

#include "backward_rows.h"

namespace regard::REGARD_ISA {

// The keys that some row of a run or a block sees, counted from the first of their sequence.
inline Span seen_from(const Call& call, const RowBlock& block) {
  const Index low = seen_by(call, *block.sequence, block.row_start).low;
  const Index high = seen_by(call, *block.sequence, block.row_stop - 1).high;
  return {low - block.sequence->key_start, max(low, high) - block.sequence->key_start};
}

inline void backward(const Call& call, const Gradients& out) {
  const BackwardSizes size(call);
  Index count;
  const Memory<RowBlock> runs = row_blocks(call, size.run_rows(), count);

  // In step s the run of rows number i of a sequence meets its run of keys number RATIO * i + s.
  const auto first_keys = [&](const RowBlock& run) {
    return (run.row_start - run.sequence->row_start) / size.run_rows() * BackwardSizes::RATIO;
  };
  const auto steps_of = [&](const RowBlock& run) -> Span {
    const Span seen = seen_from(call, run);
    if (seen.low >= seen.high) return {0, 0};
    return {seen.low / size.run_keys() - first_keys(run), (seen.high - 1) / size.run_keys() + 1 - first_keys(run)};
  };
  Span steps{0, 0};
  for (Index i = 0; i < count; ++i) {
    const Span own = steps_of(runs[i]);
    if (own.low >= own.high) continue;
    steps = steps.low >= steps.high ? own : Span{min(steps.low, own.low), max(steps.high, own.high)};
  }
  const Index groups = call.heads / call.key_heads, planes = call.batch * call.key_heads;
  const FloatsOfPlanes floats(call);
  for (Index first_plane = 0; first_plane < planes; first_plane += size.planes) {
    const Index here = min(size.planes, planes - first_plane);
    const AllSums sums = floats.sums(out, first_plane, here);
    for (Index step = steps.low; step < steps.high; ++step)
      in_parallel(count * here, call.threads, [&](Index i) {
        const Index number = call.ragged ? i / here : i % count;
        const Index plane = first_plane + (call.ragged ? i % here : i / count);
        const RowBlock& run = runs[number];
        const Span own = steps_of(run);
        if (step < own.low || step >= own.high) return;
        const Index first = (first_keys(run) + step) * size.run_keys();
        for (Index row = run.row_start; row < run.row_stop; row += size.rows) {
          const RowBlock block{run.sequence, row, min(row + size.rows, run.row_stop)};
          const Span seen = within(seen_from(call, block), first, first + size.run_keys());
          if (seen.low == seen.high) continue;
          const Span keys{first + seen.low / size.keys * size.keys, first + seen.high};
          for (Index head = plane % call.key_heads * groups; head < (plane % call.key_heads + 1) * groups; ++head)
            BackwardRows(call, out, sums, size, block, number, plane / call.key_heads, head).against(keys);
        }
      });
    in_parallel(here, call.threads, [&](Index plane) {
      for (Index s = 0; s < call.sequence_count; ++s) {
        const Sequence& sequence = call.sequences[s];
        for (Index head = plane * groups; head < (plane + 1) * groups; ++head)
          sums.query.clear_unmet(head, sequence.row_start, sequence.row_stop, size.rows);
        sums.key.clear_unmet(plane, sequence.key_start, sequence.key_stop, size.keys);
        sums.value.clear_unmet(plane, sequence.key_start, sequence.key_stop, size.keys);
      }
    });
    floats.put(out, first_plane, here);
  }
}

inline Index row_runs(const Call& call) { return count_blocks(call, BackwardSizes(call).run_rows()); }

}  // namespace regard::REGARD_ISA
