// The Python module: takes apart the tuples that describe a call, picks the instruction set, lets other threads run.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "call.h"

namespace nb = nanobind;

namespace regard {

OutOfMemory::OutOfMemory(std::size_t missing) noexcept : bytes(missing) {
  std::snprintf(text_, sizeof text_,
                "attend's native kernels found no memory for the %.1f MiB that they work in; "
                "pass fewer heads or shorter sequences at a time, or free some",
                double(missing) / (1 << 20));
}
OutOfMemory::OutOfMemory(const OutOfMemory&) noexcept = default;
OutOfMemory::~OutOfMemory() = default;
const char* OutOfMemory::what() const noexcept { return text_; }
void out_of_memory(std::size_t bytes) { throw OutOfMemory(bytes); }

#define REGARD_DECLARE(name) Kernels kernels_##name();
REGARD_DECLARE(baseline)
#if defined(REGARD_X86)
REGARD_DECLARE(avx2)
REGARD_DECLARE(avx512)
REGARD_DECLARE(avx512_bf16)
#endif
#if defined(REGARD_EMULATE_AVX512)
REGARD_DECLARE(emulated_avx512)
#endif

namespace {

// What this processor can run, the best last.
std::vector<Kernels> available() {
  std::vector<Kernels> all{kernels_baseline()};
#if defined(REGARD_X86)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(kernels_avx2());
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    all.push_back(kernels_avx512());
  if (all.back().name == std::string("avx512") && __builtin_cpu_supports("avx512bf16"))
    all.push_back(kernels_avx512_bf16());
#endif
#if defined(REGARD_EMULATE_AVX512)
  all.push_back(kernels_emulated_avx512());
#endif
  return all;
}

Kernels named(const std::string& name) {
  for (const Kernels& kernels : available())
    if (name == kernels.name) return kernels;
  throw std::invalid_argument("this processor has no instruction set named " + name);
}

Type type_of(const std::string& name) {
  if (name == "float32") return Type::float32;
  if (name == "bfloat16") return Type::bfloat16;
  if (name == "float16") return Type::float16;
  throw std::invalid_argument("no type named " + name);
}

Normalizer normalizer_of(const std::string& name) {
  if (name == "softmax") return Normalizer::softmax;
  if (name == "relu") return Normalizer::relu;
  if (name == "sigmoid") return Normalizer::sigmoid;
  throw std::invalid_argument("no normalizer named " + name);
}

template <class T>
T* pointer(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

bool run_from_0_to(Index end, const Index* offsets, Index sequences) {
  bool rising = offsets[0] == 0 && offsets[sequences] == end;
  for (Index s = 0; s < sequences; ++s) rising &= offsets[s] <= offsets[s + 1];
  return rising;
}

using Strides = std::vector<Index>;  // of batch, head, row and column

struct Bound {
  Call call{};
  std::vector<Sequence> sequences;
  Kernels kernels{};
  Type type{};
  bool offsets_fit = false;

  Array array(std::uintptr_t data, const Strides& strides) const { return array(data, strides, type); }
  static Array array(std::uintptr_t data, const Strides& strides, Type type) {
    if (strides.size() != 4) throw std::invalid_argument("an array has four strides");
    return {pointer<void>(data), type, strides[0], strides[1], strides[2], strides[3]};
  }
  void bind(const Array& query, const Array& key, const Array& value, const Array& output, std::uintptr_t statistics) {
    call.sequences = sequences.data(), call.sequence_count = Index(sequences.size());
    call.query = query, call.key = key, call.value = value, call.output = output;
    call.statistics = pointer<float>(statistics);
  }
};

}  // namespace

NB_MODULE(_kernels, module) {
  module.doc() = "Attention on the CPU. Nothing is checked here: regard.attention.native does.";

  module.def("instruction_sets", [] {
    std::vector<std::string> names;
    for (const Kernels& kernels : available()) names.emplace_back(kernels.name);
    return names;
  });

  // Fresh memory then comes 2 MiB at a time: by 4 KiB it takes a sixth of forward's time. No more than advice.
  module.def("prefer_large_pages", [](std::uintptr_t address, std::uintptr_t size) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const std::uintptr_t page = 4096, first = (address + page - 1) / page * page, last = (address + size) / page * page;
    if (first < last) madvise(pointer<void>(first), last - first, MADV_HUGEPAGE);
#else
    static_cast<void>(address), static_cast<void>(size);
#endif
  });

  nb::class_<Bound>(module, "Call")
      .def(
          "__init__",
          [](Bound* self, const std::string& isa, const std::string& type, const std::string& normalizer,
             const std::vector<Index>& sizes, std::uintptr_t offsets, std::uintptr_t key_offsets, Index sequences,
             Index left, Index right, Index query_start, double scale, std::uintptr_t additive, std::uintptr_t table,
             Index table_left, Index table_width, std::uintptr_t key_mask, double dropout, std::uint64_t seed,
             int threads) {
            new (self) Bound;
            self->kernels = named(isa);
            self->type = type_of(type);
            Call& call = self->call;
            if (sizes.size() != 7) throw std::invalid_argument("a call has seven sizes");
            call.batch = sizes[0], call.heads = sizes[1], call.key_heads = sizes[2];
            call.rows = sizes[3], call.keys = sizes[4], call.dim = sizes[5], call.value_dim = sizes[6];
            call.ragged = offsets != 0;
            const Index *rows = pointer<const Index>(offsets), *keys = pointer<const Index>(key_offsets);
            for (Index s = 0; s < sequences; ++s)
              self->sequences.push_back({rows[s], rows[s + 1], keys[s], keys[s + 1]});
            if (!call.ragged) self->sequences.push_back({0, call.rows, 0, call.keys});
            self->offsets_fit = !call.ragged || (run_from_0_to(call.rows, rows, sequences) &&
                                                 run_from_0_to(call.keys, keys, sequences));
            call.normalizer = normalizer_of(normalizer);
            call.left = left, call.right = right, call.query_start = query_start, call.scale = float(scale);
            call.additive = pointer<const float>(additive);
            call.table = pointer<const float>(table);
            call.table_left = table_left, call.table_width = table_width;
            for (Index i = 0; call.table && i < call.heads * table_width; ++i)
              call.table_hides |= call.table[i] == -__builtin_inff();
            call.key_mask = pointer<const bool>(key_mask);
            call.dropout = dropout, call.seed = seed, call.threads = threads;
          })
      .def("offsets_fit", [](const Bound& self) { return self.offsets_fit; })
      .def("row_runs",
           [](Bound& self) {
             self.call.sequences = self.sequences.data(), self.call.sequence_count = Index(self.sequences.size());
             return self.kernels.row_runs(self.call);
           })
      .def("forward",
           [](Bound& self, std::uintptr_t query, const Strides& query_strides, std::uintptr_t key,
              const Strides& key_strides, std::uintptr_t value, const Strides& value_strides, std::uintptr_t output,
              const Strides& output_strides, std::uintptr_t statistics) {
             self.bind(self.array(query, query_strides), self.array(key, key_strides), self.array(value, value_strides),
                       self.array(output, output_strides), statistics);
             nb::gil_scoped_release release;
             self.kernels.forward(self.call);
           })
      .def("weights",
           [](Bound& self, std::uintptr_t query, const Strides& query_strides, std::uintptr_t key,
              const Strides& key_strides, std::uintptr_t statistics, std::uintptr_t held, Index width) {
             const Array keys = self.array(key, key_strides);
             const Array none = Bound::array(statistics, {0, 0, 0, 1}, Type::float32);
             self.bind(self.array(query, query_strides), keys, keys, none, statistics);
             self.call.value_dim = 0;  // attention for its statistics alone
             nb::gil_scoped_release release;
             self.kernels.weights(self.call, pointer<float>(held), width);
           })
      .def("backward", [](Bound& self, std::uintptr_t query, const Strides& query_strides, std::uintptr_t key,
                          const Strides& key_strides, std::uintptr_t value, const Strides& value_strides,
                          std::uintptr_t output, const Strides& output_strides, std::uintptr_t statistics,
                          std::uintptr_t grad, const Strides& grad_strides, std::uintptr_t by_query,
                          const Strides& by_query_strides, std::uintptr_t by_key, const Strides& by_key_strides,
                          std::uintptr_t by_value, const Strides& by_value_strides, std::uintptr_t by_table,
                          std::uintptr_t by_weight, std::uintptr_t inner) {
        self.bind(self.array(query, query_strides), self.array(key, key_strides), self.array(value, value_strides),
                  self.array(output, output_strides), statistics);
        const Gradients gradients{self.array(grad, grad_strides),
                                  self.array(by_query, by_query_strides),
                                  self.array(by_key, by_key_strides),
                                  self.array(by_value, by_value_strides),
                                  pointer<float>(by_table),
                                  pointer<float>(by_weight),
                                  pointer<float>(inner)};
        nb::gil_scoped_release release;
        self.kernels.backward(self.call, gradients);
      });
}

}  // namespace regard
