// What a processor multiplies at most: independent fused multiply-adds of vectors in registers, on all threads.
#include <chrono>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int LANES = 16, SUMS = 16;
#elif defined(__AVX__)
constexpr int LANES = 8, SUMS = 12;
#else
constexpr int LANES = 4, SUMS = 12;
#endif
typedef float Vector __attribute__((vector_size(4 * LANES)));

static void multiply(long steps, float* out) {
  const Vector start = Vector{} + *out, factor = Vector{} + 0.999f, more = Vector{} + 1e-3f;
  Vector sums[SUMS];
#pragma GCC unroll 16
  for (int i = 0; i < SUMS; ++i) sums[i] = start * float(i + 1);
  for (long step = 0; step < steps; ++step)
#pragma GCC unroll 16
    for (int i = 0; i < SUMS; ++i) sums[i] = sums[i] * factor + more;
#pragma GCC unroll 16
  for (int i = 1; i < SUMS; ++i) sums[0] += sums[i];
  *out = sums[0][0];
}

// Floating-point operations a second, two of them a multiply-add.
extern "C" double limit(int threads, long steps) {
  std::vector<float> out(threads * 64L, 1.f);  // of each thread in a cache line of its own
  std::vector<std::thread> others;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 1; i < threads; ++i) others.emplace_back(multiply, steps, &out[i * 64]);
  multiply(steps, &out[0]);
  for (auto& thread : others) thread.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return 2.0 * LANES * SUMS * steps * threads / took.count();
}
