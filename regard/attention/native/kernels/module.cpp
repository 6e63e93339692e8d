// The Python module: a call whose fields are set by name, run by the kernels of the instruction set that it names.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdio>
#include <stdexcept>
#include <string>
#include <tuple>
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

const std::vector<Kernels>& instruction_sets() {
  static const std::vector<Kernels> all = available();
  return all;
}

Kernels named(const std::string& name) {
  for (const Kernels& kernels : instruction_sets())
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

// A tensor as Python tells it: where it lies, its shape and its strides, dense [B, H, N, D] or ragged [T, H, D].
using Tensor = std::tuple<std::uintptr_t, nb::tuple, nb::tuple>;

Index number(const nb::tuple& numbers, std::size_t place) { return nb::cast<Index>(numbers[place]); }

struct Shaped {
  Array array;
  Index batch, heads, rows, dim;
};

Shaped shaped(const Tensor& tensor, Type type) {
  const auto& [address, shape, strides] = tensor;
  void* data = pointer<void>(address);
  if (shape.size() == 4)
    return {{data, type, number(strides, 0), number(strides, 1), number(strides, 2), number(strides, 3)},
            number(shape, 0),
            number(shape, 1),
            number(shape, 2),
            number(shape, 3)};
  if (shape.size() != 3) throw std::invalid_argument("a tensor has three or four axes");
  return {{data, type, 0, number(strides, 1), number(strides, 0), number(strides, 2)},
          1,
          number(shape, 1),
          number(shape, 0),
          number(shape, 2)};
}

bool run_from_0_to(Index end, const Index* offsets, Index sequences) {
  bool rising = offsets[0] == 0 && offsets[sequences] == end;
  for (Index s = 0; s < sequences; ++s) rising &= offsets[s] <= offsets[s + 1];
  return rising;
}

// A call and what it owns. Whatever Python does not set is 0, null, no limit, or absent.
class PythonCall {
 public:
  PythonCall(const std::string& instruction_set, const std::string& type)
      : kernels(named(instruction_set)), type(type_of(type)) {
    call.left = call.right = -1;
  }

  // Dense, each entry of a batch has all rows and keys: one sequence that stands for all.
  void dense() { sequences.assign(1, {0, call.rows, 0, call.keys}); }

  // False if they are no offsets of the rows and keys, which must be set: nothing may then be run.
  bool ragged(std::uintptr_t offsets, std::uintptr_t key_offsets, Index count) {
    const Index *rows = pointer<const Index>(offsets), *keys = pointer<const Index>(key_offsets);
    if (!run_from_0_to(call.rows, rows, count) || !run_from_0_to(call.keys, keys, count)) return false;
    call.ragged = true;
    for (Index s = 0; s < count; ++s) sequences.push_back({rows[s], rows[s + 1], keys[s], keys[s + 1]});
    return true;
  }

  // One image among the rows, which must be set; for windows over rows and columns.
  void image(Index start, Index rows, Index columns, Index row_step, Index column_step) {
    images.push_back({start, rows, columns, row_step, column_step});
  }

  Index grid_runs() { return kernels.grid_runs(complete()); }
  void grid_forward() { kernels.grid_forward(complete()); }
  void grid_backward() { kernels.grid_backward(complete(), gradients); }
  Index row_runs() { return kernels.row_runs(complete()); }
  void forward() { kernels.forward(complete()); }
  void backward() { kernels.backward(complete(), gradients); }
  void weights() {
    call.output = {call.statistics, Type::float32, 0, 0, 0, 1};
    call.value_dim = 0;  // attention for its statistics alone
    kernels.weights(complete(), band, band_width);
  }

  Call call{};
  Gradients gradients{};
  float* band = nullptr;
  Index band_width = 0;
  const Kernels kernels;
  const Type type;
  nb::object tensors;  // whose memory is read: they live as long as the call

 private:
  const Call& complete() {
    call.sequences = sequences.data(), call.sequence_count = Index(sequences.size());
    call.images = images.data(), call.image_count = Index(images.size());
    const Index rows = call.row_table ? call.heads * (call.up + call.down + 1) : 0;
    const Index columns = call.table ? call.heads * call.table_width : 0;
    call.table_hides = lowest(call.row_table, rows) + lowest(call.table, columns) == -__builtin_inff();
    return call;
  }
  // At most 0. A sum of two that are finite may be -inf too.
  static float lowest(const float* numbers, Index count) {
    float low = 0;
    for (Index i = 0; i < count; ++i) low = numbers[i] < low ? numbers[i] : low;
    return low;
  }

  std::vector<Sequence> sequences;
  std::vector<Image> images;
};

using Class = nb::class_<PythonCall>;

// One field of a call, to be set by its name.
template <class Set>
void field(Class& python, const char* name, const Set& set) {
  python.def_prop_rw(name, nullptr, set);
}
template <class Value>
void value(Class& python, const char* name, Value Call::* place) {
  field(python, name, [place](PythonCall& self, Value given) { self.call.*place = given; });
}
template <class T>
void address(Class& python, const char* name, T* Call::* place) {
  field(python, name, [place](PythonCall& self, std::uintptr_t given) { self.call.*place = pointer<T>(given); });
}
void address(Class& python, const char* name, float* Gradients::* place) {
  field(python, name, [place](PythonCall& self, std::uintptr_t x) { self.gradients.*place = pointer<float>(x); });
}
void array(Class& python, const char* name, Array Gradients::* place) {
  field(python, name,
        [place](PythonCall& self, const Tensor& x) { self.gradients.*place = shaped(x, self.type).array; });
}

void set_query(PythonCall& self, const Tensor& tensor) {
  const Shaped x = shaped(tensor, self.type);
  self.call.query = x.array, self.call.batch = x.batch, self.call.heads = x.heads;
  self.call.rows = x.rows, self.call.dim = x.dim;
}
void set_key(PythonCall& self, const Tensor& tensor) {
  const Shaped x = shaped(tensor, self.type);
  self.call.key = x.array, self.call.key_heads = x.heads, self.call.keys = x.rows;
}
void set_value(PythonCall& self, const Tensor& tensor) {
  const Shaped x = shaped(tensor, self.type);
  self.call.value = x.array, self.call.value_dim = x.dim;
}
void set_output(PythonCall& self, const Tensor& tensor) { self.call.output = shaped(tensor, self.type).array; }

}  // namespace

NB_MODULE(_kernels, module) {
  module.doc() = "Attention on the CPU. Nothing is checked here: regard.attention.native does.";

  module.def("instruction_sets", [] {
    std::vector<std::string> names;
    for (const Kernels& kernels : instruction_sets()) names.emplace_back(kernels.name);
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

  Class call(module, "Call");
  call.def(nb::init<const std::string&, const std::string&>(), nb::arg("instruction_set"), nb::arg("type"));

  field(call, "query", set_query);
  field(call, "key", set_key);
  field(call, "value", set_value);
  field(call, "normalizer", [](PythonCall& self, const std::string& x) { self.call.normalizer = normalizer_of(x); });
  value(call, "left", &Call::left);
  value(call, "right", &Call::right);
  value(call, "up", &Call::up);
  value(call, "down", &Call::down);
  value(call, "query_start", &Call::query_start);
  field(call, "scale", [](PythonCall& self, double x) { self.call.scale = float(x); });
  address(call, "additive_weight", &Call::additive);
  address(call, "table", &Call::table);
  address(call, "row_table", &Call::row_table);
  value(call, "table_left", &Call::table_left);
  value(call, "table_width", &Call::table_width);
  address(call, "key_mask", &Call::key_mask);
  value(call, "dropout_p", &Call::dropout);
  value(call, "seed", &Call::seed);
  value(call, "part", &Call::part);
  value(call, "first_row", &Call::first_row);
  value(call, "first_key", &Call::first_key);
  value(call, "threads", &Call::threads);
  field(call, "tensors", [](PythonCall& self, nb::object x) { self.tensors = std::move(x); });
  call.def("dense", &PythonCall::dense);
  call.def("ragged", &PythonCall::ragged, nb::arg("offsets"), nb::arg("key_offsets"), nb::arg("count"));
  call.def("image", &PythonCall::image, nb::arg("start"), nb::arg("rows"), nb::arg("columns"), nb::arg("row_step"),
           nb::arg("column_step"));
  call.def("row_runs", &PythonCall::row_runs);
  call.def("grid_runs", &PythonCall::grid_runs);

  // What each kernel writes, and what backward reads beside it.
  field(call, "output", set_output);
  address(call, "statistics", &Call::statistics);
  field(call, "band", [](PythonCall& self, std::uintptr_t x) { self.band = pointer<float>(x); });
  field(call, "band_width", [](PythonCall& self, Index x) { self.band_width = x; });
  array(call, "grad", &Gradients::grad);
  array(call, "by_query", &Gradients::query);
  array(call, "by_key", &Gradients::key);
  array(call, "by_value", &Gradients::value);
  address(call, "table_parts", &Gradients::table_parts);
  address(call, "row_table_parts", &Gradients::row_table_parts);
  address(call, "weight_parts", &Gradients::weight_parts);
  address(call, "inner", &Gradients::inner);

  const nb::call_guard<nb::gil_scoped_release> others_run;
  call.def("forward", &PythonCall::forward, others_run);
  call.def("backward", &PythonCall::backward, others_run);
  call.def("weights", &PythonCall::weights, others_run);
  call.def("grid_forward", &PythonCall::grid_forward, others_run);
  call.def("grid_backward", &PythonCall::grid_backward, others_run);
}

}  // namespace regard
