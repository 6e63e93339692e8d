// Backward: weights again from what forward left, and the gradients of query, key, value and whatever else is learned.
// Work is a run of rows and a run of keys, area by area of their blocks. In each step every run of rows meets another run
// of keys, so that all of a step go on at once, each adding to sums that are its own: no atomics, and one order.
#pragma once

#include "backward_rows.h"

namespace regard::REGARD_ISA {

// Before all areas, for one run of rows: output . grad of each row, by which the slopes of a row's weights sum to zero,
// wherever its keys are in several blocks. True if query and grad are finite.
template <bool pairs>
inline bool look_over(const Call& call, const Gradients& out, const BackwardSizes& size, const RowBlock& run,
                      Index plane) {
  const bool apart = run.sequence->key_stop - run.sequence->key_start > size.keys;
  const bool wanted = call.normalizer == Normalizer::softmax && apart && !call.part;
  float *query_copy, *output_copy, *grad_copy;
  scratch().lay_out([&](Scratch& memory) {
    query_copy = memory.take(size.rows * size.dim);
    output_copy = memory.take(size.rows * size.value_dim);
    grad_copy = memory.take(size.rows * size.value_dim);
  });
  const Index part = pairs ? 2 : 1;
  const Index dim = round_up(size.dim / part, LANES), value_dim = round_up(size.value_dim / part, LANES);
  bool finite = true;
  for (Index row = run.row_start; row < run.row_stop; row += size.rows) {
    const Index count = min(size.rows, run.row_stop - row), batch = plane / call.heads, head = plane % call.heads;
    const auto taken = [&](const Array& x, Index columns, float* copy) {
      return pairs ? take_pairs(x, batch, head, row, count, columns, nullptr, copy)
                   : take_rows(x, batch, head, row, count, columns, 1, nullptr, copy);
    };
    const Rows grad = taken(out.grad, call.value_dim, grad_copy);
    finite &= all_finite<pairs>(grad, count, value_dim) &&
              all_finite<pairs>(taken(call.query, call.dim, query_copy), count, dim);
    if (!wanted) continue;
    const Rows output = taken(call.output, call.value_dim, output_copy);
    for (Index n = 0; n < count; ++n) {
      Vector total{};
      for (Index d = 0; d < value_dim; d += LANES) {
        const Vector x = load(output.data + n * output.stride + d), y = load(grad.data + n * grad.stride + d);
        total = pairs ? add_products(total, x, y) : total + x * y;
      }
      out.inner[plane * call.rows + row + n] = sum(total);
    }
  }
  return finite;
}

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
  const Index all_planes = call.batch * call.heads;
  const Memory<bool> rows_finite(count * all_planes);  // [runs, B, H]
  const auto look = in_pairs(call) ? look_over<true> : look_over<false>;
  in_parallel(count * all_planes, call.threads, [&](Index i) {
    const Index number = call.ragged ? i / all_planes : i % count, plane = call.ragged ? i % all_planes : i / count;
    rows_finite[number * all_planes + plane] = look(call, out, size, runs[number], plane);
  });

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
            BackwardRows(call, out, sums, size, block, number, plane / call.key_heads, head, rows_finite).against(keys);
        }
      });
    floats.put(out, first_plane, here);
  }
}

inline Index row_runs(const Call& call) { return count_blocks(call, BackwardSizes(call).run_rows()); }

}  // namespace regard::REGARD_ISA
