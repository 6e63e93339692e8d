// Work for all threads.
#pragma once

#include "vector.h"

namespace regard::REGARD_ISA {

// Runs `task(i)` for i < count on all threads, a few neighbours at a time. Which thread takes which changes nothing.
// Nothing thrown may leave a thread: where one finds no memory, all stop, and the caller's throws.
template <class Task>
inline void in_parallel(Index count, int threads, const Task& task) {
  const Index at_once = max(1, count / (threads * Index(64)));
  threads = int(min(threads, count));
  if (threads <= 1) {
    for (Index i = 0; i < count; ++i) task(i);
    return;
  }
  Index next = 0;
  std::size_t missing = 0;  // bytes
#pragma omp parallel num_threads(threads)
  try {
    for (;;) {
      const Index first = __atomic_fetch_add(&next, at_once, __ATOMIC_RELAXED);
      if (first >= count) break;
      for (Index i = first; i < min(first + at_once, count); ++i) task(i);
    }
  } catch (const OutOfMemory& error) {
    __atomic_store_n(&missing, error.bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&next, count, __ATOMIC_RELAXED);
  }
  if (missing) out_of_memory(missing);
}

}  // namespace regard::REGARD_ISA
