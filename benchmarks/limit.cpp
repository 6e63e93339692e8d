// What a processor multiplies at most: independent fused multiply-adds of vectors in registers, on all threads.
#include <chrono>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

#if defined(__AVX512F__)
constexpr int LANES = 16, SUMS = 16;
#elif defined(__AVX__)
constexpr int LANES = 8, SUMS = 12;
#else
constexpr int LANES = 4, SUMS = 12;
#endif
typedef float Vector __attribute__((vector_size(4 * LANES)));

// Each thread on a core of its own: two that begin on one stay there for a while.
static void stay_on(int index) {
#if defined(__linux__)
  cpu_set_t allowed, mine;
  sched_getaffinity(0, sizeof allowed, &allowed);
  CPU_ZERO(&mine);
  for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed) && seen++ == index) CPU_SET(cpu, &mine);
  if (CPU_COUNT(&mine)) sched_setaffinity(0, sizeof mine, &mine);
#endif
}

// Operations a second, two of them a multiply-add.
static void multiply(int index, long steps, double* rate) {
  stay_on(index);
  const auto start = std::chrono::steady_clock::now();
  const Vector factor = Vector{} + 0.999f, more = Vector{} + 1e-3f;
  Vector sums[SUMS];
#pragma GCC unroll 16
  for (int i = 0; i < SUMS; ++i) sums[i] = more * float(i + index);
  for (long step = 0; step < steps; ++step)
#pragma GCC unroll 16
    for (int i = 0; i < SUMS; ++i) sums[i] = sums[i] * factor + more;
#pragma GCC unroll 16
  for (int i = 1; i < SUMS; ++i) sums[0] += sums[i];
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  *rate = (sums[0][0] > 0 ? 2.0 : 0.0) * LANES * SUMS * steps / took.count();
}

extern "C" double limit(int threads, long steps) {
  std::vector<double> rates(threads);
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) all.emplace_back(multiply, i, steps, &rates[i]);
  double sum = 0;
  for (int i = 0; i < threads; ++i) all[i].join(), sum += rates[i];
  return sum;
}
