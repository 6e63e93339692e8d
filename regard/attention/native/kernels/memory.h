// The memory that kernels work in. Where there is none they throw OutOfMemory.
#pragma once

#include <cstdlib>

#include "vector.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define REGARD_ALLOW ASAN_UNPOISON_MEMORY_REGION
#define REGARD_FORBID ASAN_POISON_MEMORY_REGION
#define REGARD_GAP 16
#else
#define REGARD_ALLOW(place, size)
#define REGARD_FORBID(place, size) static_cast<void>(place)
#define REGARD_GAP 0
#endif

namespace regard::REGARD_ISA {

// Memory of one thread, kept from call to call. Under the address sanitizer there are gaps that must not be touched.
class Scratch {
 public:
  ~Scratch() { std::free(memory_); }

  // Calls `lay_out`, which takes whatever it needs, twice: once to learn how much that is.
  template <class LayOut>
  void lay_out(const LayOut& lay_out) {
    used_ = 0, counting_ = true;
    lay_out(*this);
    if (used_ > size_) {
      std::free(memory_);
      size_ = 0;
      memory_ = static_cast<float*>(std::aligned_alloc(64, used_ * sizeof(float)));
      if (!memory_) out_of_memory(used_ * sizeof(float));
      size_ = used_;
    }
    REGARD_ALLOW(memory_, size_ * sizeof(float));
    used_ = 0, counting_ = false;
    lay_out(*this);
  }
  template <class T = float>
  T* take(Index count) {
    static_assert(sizeof(T) % sizeof(float) == 0);
    const Index floats = count * Index(sizeof(T) / sizeof(float));
    float* place = counting_ ? nullptr : memory_ + used_;
    const Index padded = round_up(floats, 16) + REGARD_GAP;
    if (!counting_) REGARD_FORBID(place + floats, (padded - floats) * sizeof(float));
    used_ += padded;
    return reinterpret_cast<T*>(place);
  }

 private:
  float* memory_ = nullptr;
  Index size_ = 0, used_ = 0;
  bool counting_ = false;
};

inline Scratch& scratch() {
  static thread_local Scratch mine;
  return mine;
}

// Memory of a whole call. No std::vector, whose code, compiled for one instruction set, might be run by another.
template <class T>
class Memory {
 public:
  Memory() = default;
  explicit Memory(Index count) : data_(static_cast<T*>(std::malloc(sizeof(T) * max(count, 1)))) {
    if (!data_) out_of_memory(sizeof(T) * count);
  }
  Memory(Memory&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
  Memory& operator=(Memory&& other) noexcept {
    T* mine = data_;
    data_ = other.data_, other.data_ = mine;
    return *this;
  }
  ~Memory() { std::free(data_); }
  operator T*() const { return data_; }

 private:
  T* data_ = nullptr;
};

}  // namespace regard::REGARD_ISA
