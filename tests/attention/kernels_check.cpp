// The kernels beside plain loops in double, with no Python: for processors that tests can only be built for.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "call.h"

namespace regard {
Kernels kernels_baseline();
OutOfMemory::OutOfMemory(std::size_t missing) noexcept : bytes(missing), text_("no memory") {}
OutOfMemory::OutOfMemory(const OutOfMemory&) noexcept = default;
OutOfMemory::~OutOfMemory() = default;
const char* OutOfMemory::what() const noexcept { return text_; }
void out_of_memory(std::size_t bytes) { throw OutOfMemory(bytes); }
}  // namespace regard

using namespace regard;
using Numbers = std::vector<float>;
using Doubles = std::vector<double>;

constexpr Index N = 71, D = 20, DV = 13;  // one head: what differs by head are addresses alone

struct Case {
  Normalizer normalizer;
  Index left, right;
};

// Output, and gradients by query, key and value of the sum of output * grad.
struct Result {
  Doubles output = Doubles(N * DV), query = Doubles(N * D), key = Doubles(N * D), value = Doubles(N * DV);
};

bool sees(const Case& c, Index q, Index k) {
  return (c.left < 0 || k >= q - c.left) && (c.right < 0 || k <= q + c.right);
}

Result plain(const Case& c, const Numbers& query, const Numbers& key, const Numbers& value, const Numbers& grad,
             double scale) {
  Result r;
  for (Index q = 0; q < N; ++q) {
    Doubles score(N), weight(N), by_weight(N);
    double n = 0, largest = -INFINITY, total = 0, mean = 0;
    for (Index k = 0; k < N; ++k) {
      if (!sees(c, q, k)) continue;
      for (Index d = 0; d < D; ++d) score[k] += scale * query[q * D + d] * key[k * D + d];
      largest = std::fmax(largest, score[k]), ++n;
    }
    for (Index k = 0; k < N; ++k) total += sees(c, q, k) ? std::exp(score[k] - largest) : 0;
    for (Index k = 0; k < N; ++k) {
      if (!sees(c, q, k)) continue;
      weight[k] = c.normalizer == Normalizer::softmax ? std::exp(score[k] - largest) / total
                  : c.normalizer == Normalizer::relu  ? std::fmax(0, score[k]) / n
                                                      : 1 / (1 + n * std::exp(-score[k]));
      for (Index d = 0; d < DV; ++d) {
        r.output[q * DV + d] += weight[k] * value[k * DV + d];
        r.value[k * DV + d] += weight[k] * grad[q * DV + d];
        by_weight[k] += grad[q * DV + d] * value[k * DV + d];
      }
      mean += weight[k] * by_weight[k];
    }
    for (Index k = 0; k < N; ++k) {
      if (!sees(c, q, k)) continue;
      const double by_score = c.normalizer == Normalizer::softmax ? weight[k] * (by_weight[k] - mean)
                              : c.normalizer == Normalizer::relu  ? (score[k] > 0) * by_weight[k] / n
                                                                  : weight[k] * (1 - weight[k]) * by_weight[k];
      for (Index d = 0; d < D; ++d) {
        r.query[q * D + d] += scale * by_score * key[k * D + d];
        r.key[k * D + d] += scale * by_score * query[q * D + d];
      }
    }
  }
  return r;
}

template <class T>
Array array(std::vector<T>& x, Type type, Index dim) {
  return {x.data(), type, N * dim, N * dim, dim, 1};
}

bool near(const char* what, const std::string& name, const Numbers& found, const Doubles& wanted, double most) {
  double worst = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double error = std::fabs(found[i] - wanted[i]);
    worst = error <= worst ? worst : error;  // NaN too
  }
  if (worst <= most) return true;
  std::printf("%s: %s is off by %g\n", name.c_str(), what, worst);
  return false;
}

// The bits of bfloat16, cut off, which all numbers of the check are exactly.
std::vector<std::uint16_t> halves(const Numbers& x) {
  std::vector<std::uint16_t> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, &x[i], 4);
    y[i] = std::uint16_t(bits >> 16);
  }
  return y;
}
float whole(std::uint16_t half) {
  const std::uint32_t bits = std::uint32_t(half) << 16;
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

bool check(const Case& c, const std::string& name) {
  std::mt19937 random(1);
  const auto numbers = [&](Index count) {
    Numbers x(count);
    for (float& number : x) number = float(int(random() % 33) - 16) / 8;
    return x;
  };
  Numbers query = numbers(N * D), key = numbers(N * D), value = numbers(N * DV), grad = numbers(N * DV);
  Numbers output(N * DV), statistics(N), inner(N), by_query(N * D), by_key(N * D), by_value(N * DV);
  const Sequence all{0, N, 0, N};
  Call call{};
  call.query = array(query, Type::float32, D), call.key = array(key, Type::float32, D);
  call.value = array(value, Type::float32, DV), call.output = array(output, Type::float32, DV);
  call.statistics = statistics.data(), call.sequences = &all, call.sequence_count = 1;
  call.batch = call.heads = call.key_heads = 1, call.rows = call.keys = N, call.dim = D, call.value_dim = DV;
  call.normalizer = c.normalizer, call.left = c.left, call.right = c.right, call.scale = 0.25f, call.threads = 2;
  Gradients gradients{};
  gradients.grad = array(grad, Type::float32, DV), gradients.query = array(by_query, Type::float32, D);
  gradients.key = array(by_key, Type::float32, D), gradients.value = array(by_value, Type::float32, DV);
  gradients.inner = inner.data();

  const Kernels kernels = kernels_baseline();
  kernels.forward(call);
  kernels.backward(call, gradients);
  const Result wanted = plain(c, query, key, value, grad, call.scale);
  bool good = near("the output", name, output, wanted.output, 2e-5);
  good &= near("the gradient by query", name, by_query, wanted.query, 2e-4);
  good &= near("the gradient by key", name, by_key, wanted.key, 2e-4);
  good &= near("the gradient by value", name, by_value, wanted.value, 2e-4);

  auto half_query = halves(query), half_key = halves(key), half_value = halves(value);
  std::vector<std::uint16_t> half_output(N * DV);
  call.query = array(half_query, Type::bfloat16, D), call.key = array(half_key, Type::bfloat16, D);
  call.value = array(half_value, Type::bfloat16, DV), call.output = array(half_output, Type::bfloat16, DV);
  kernels.forward(call);
  for (Index i = 0; i < N * DV; ++i) output[i] = whole(half_output[i]);
  return good & near("the output in bfloat16", name, output, wanted.output, 0.03);
}

int main() {
  bool good = true;
  const char* names[] = {"softmax", "relu", "sigmoid"};
  for (int i = 0; i < 3; ++i)
    for (const auto& [left, right] : {std::pair<Index, Index>{-1, -1}, {5, 3}, {16, 0}, {-1, 0}})
      good &= check({Normalizer(i), left, right},
                    std::string(names[i]) + ", window " + std::to_string(left) + ", " + std::to_string(right));
  std::printf(good ? "the kernels give what plain loops give\n" : "the kernels are wrong\n");
  return good ? 0 : 1;
}
