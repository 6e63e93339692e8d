// Forward: all blocks of rows of all heads.
#pragma once

#include "forward_block.h"

namespace regard::REGARD_ISA {

template <class Task>
inline void for_each_block(const Call& call, const Task& task) {
  const ForwardSizes size(call);
  Index count;
  const Memory<RowBlock> blocks = row_blocks(call, size.rows, count);
  const Index planes = call.batch * call.key_heads;
  in_parallel(count * planes, call.threads, [&](Index i) {  // neighbours in memory come one after another
    const Index plane = call.ragged ? i % planes : i / count;
    ForwardBlock block(call, size, blocks[call.ragged ? i / planes : i % count], plane / call.key_heads,
                       plane % call.key_heads);
    task(block);
  });
}

inline void forward(const Call& call) {
  for_each_block(call, [](ForwardBlock& block) { block.attend(); });
}

inline void weights(const Call& call, float* band, Index width) {
  for_each_block(call, [&](ForwardBlock& block) { block.put_weights(band, width); });
}

}  // namespace regard::REGARD_ISA
