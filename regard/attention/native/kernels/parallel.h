// Work for all threads.
#pragma once

#include "vector.h"

namespace regard::REGARD_ISA {

// Runs `task(i)` for i < count on all threads, each time a part of the neighbours that are left, in the end one by one.
// Which thread takes which changes nothing.
// Nothing thrown may leave a thread: where one finds no memory, all stop, and the caller's throws.
template <class Task>
inline void in_parallel(Index count, int threads, const Task& task) {
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
      Index first = __atomic_load_n(&next, __ATOMIC_RELAXED), stop;
      do stop = first + max(1, (count - first) / (2 * threads));
      while (!__atomic_compare_exchange_n(&next, &first, stop, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
      if (first >= count) break;
      for (Index i = first; i < stop; ++i) task(i);
    }
  } catch (const OutOfMemory& error) {
    __atomic_store_n(&missing, error.bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&next, count, __ATOMIC_RELAXED);
  }
  if (missing) out_of_memory(missing);
}

}  // namespace regard::REGARD_ISA
