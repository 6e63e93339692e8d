// What forward and backward share: which keys a row sees, what is added to scores, and scores into weights.
#pragma once

#include <cstdlib>

#include "product.h"

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
  ~Scratch() { std::free(held_); }

  // Calls `lay_out`, which takes whatever it needs, twice: once to learn how much that is.
  template <class LayOut>
  void lay_out(const LayOut& lay_out) {
    used_ = 0, counting_ = true;
    lay_out(*this);
    if (used_ > size_) {
      std::free(held_);
      size_ = 0;
      held_ = static_cast<float*>(std::aligned_alloc(64, used_ * sizeof(float)));
      if (!held_) out_of_memory(used_ * sizeof(float));
      size_ = used_;
    }
    REGARD_ALLOW(held_, size_ * sizeof(float));
    used_ = 0, counting_ = false;
    lay_out(*this);
  }
  template <class T = float>
  T* take(Index count) {
    static_assert(sizeof(T) % sizeof(float) == 0);
    const Index floats = count * Index(sizeof(T) / sizeof(float));
    float* place = counting_ ? nullptr : held_ + used_;
    const Index padded = round_up(floats, 16) + REGARD_GAP;
    if (!counting_) REGARD_FORBID(place + floats, (padded - floats) * sizeof(float));
    used_ += padded;
    return reinterpret_cast<T*>(place);
  }

 private:
  float* held_ = nullptr;
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
  explicit Memory(Index count) : data_(static_cast<T*>(std::malloc(sizeof(T) * greater(count, 1)))) {
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

struct Span {
  Index low, high;
};

// The keys that a row sees by window and sequence, as they stand in the arrays. Both limits rise with the row.
inline Span seen_by(const Call& call, const Sequence& sequence, Index row) {
  const Index keys = sequence.key_stop - sequence.key_start;
  const Index position = row - sequence.row_start + call.query_start;
  Index low = call.left < 0 ? 0 : smaller(greater(position - call.left, 0), keys);
  Index high = call.right < 0 ? keys : smaller(position + call.right + 1, keys);
  return {sequence.key_start + low, sequence.key_start + greater(low, high)};
}

inline Span within(Span span, Index first, Index last) {  // counted from `first`
  const Index low = smaller(greater(span.low, first), last) - first;
  return {low, greater(low, smaller(span.high, last) - first)};
}

// A block of keys and one of rows: what is added to their scores and what dropout needs.
struct Pair {
  const Call& call;
  const Sequence& sequence;
  Index batch, head, row_start, row_stop, key_start, key_stop;
  float* hiding;             // [keys] 0 or -inf, under a key mask
  float* by_distance;        // [rows + keys - 1] the table's entry, from the last row to the first key on
  std::int32_t* key_hashes;  // [keys], under dropout

  Index rows() const { return row_stop - row_start; }
  Index keys() const { return key_stop - key_start; }
  const bool* attended() const { return call.key_mask ? call.key_mask + batch * call.keys + key_start : nullptr; }
  Index first_distance() const {  // of the first key from the last row
    return (key_start - sequence.key_start) - (row_stop - 1 - sequence.row_start + call.query_start);
  }
  Index table_place(Index distance) const {
    return smaller(greater(distance + call.table_left, 0), call.table_width - 1);
  }
  const float* bias_of(Index row) const { return by_distance + (row_stop - 1 - row); }
  bool sees(Index row, Index column) const {  // for a column within the row's span
    return !(call.key_mask && hiding[column] < 0) && !(call.table && bias_of(row)[column] == -INFINITE);
  }
};

constexpr std::uint32_t FIRST = 0x7FEB352D, SECOND = 0x846CA68B;  // as in regard/attention/dropout.py

inline std::int32_t mixed(std::int32_t x) {
  x ^= x >> 16;
  x = std::int32_t(std::uint32_t(x) * FIRST);
  x ^= x >> 15;
  x = std::int32_t(std::uint32_t(x) * SECOND);
  return x ^ (x >> 16);
}

inline void prepare_keys(const Pair& pair) {
  const Call& call = pair.call;
  for (Index k = 0; call.key_mask && k < pair.keys(); ++k) pair.hiding[k] = pair.attended()[k] ? 0 : -INFINITE;
  for (Index k = 0; call.dropout > 0 && k < pair.keys(); ++k)
    pair.key_hashes[k] =
        mixed(std::int32_t(std::uint32_t(pair.key_start + k) * FIRST - std::uint32_t(call.seed & 0x7FFFFFFF)));
}

// What scores are multiplied with besides the scale of a call: where exponentials are taken, powers of two cost less.
inline float unit(const Call& call) { return call.normalizer == Normalizer::relu ? 1 : LOG2E; }

inline void prepare_head(const Pair& pair) {
  if (!pair.call.table) return;
  const float* table = pair.call.table + pair.head * pair.call.table_width;
  for (Index n = 0; n < pair.rows() + pair.keys() - 1; ++n)
    pair.by_distance[n] = table[pair.table_place(pair.first_distance() + n)] * unit(pair.call);
}

inline Span whole_vectors(Span span) { return {span.low / LANES * LANES, round_up(span.high, LANES)}; }
inline Span wider(Span span, Index by) { return {greater(span.low - by, 0), span.high + by}; }

// Adds the bias to a row's scores, and -inf where whole vectors reach beyond its span.
REGARD_APART void hide(const Pair& pair, Index row, Span span, float* scores) {
  const Call& call = pair.call;
  const float* bias = call.table ? pair.bias_of(row) : nullptr;
  const Span whole = whole_vectors(span);
  if (bias && call.table_hides) {
    for (Index k = span.low; k < span.high; ++k) scores[k] = bias[k] == -INFINITE ? -INFINITE : scores[k] + bias[k];
  } else if (bias) {
    Index k = span.low;
    for (; k + LANES <= span.high; k += LANES) store(scores + k, load(scores + k) + load(bias + k));
    for (; k < span.high; ++k) scores[k] += bias[k];
  }
  if (call.key_mask)
    for (Index k = whole.low; k < whole.high; k += LANES) store(scores + k, load(scores + k) + load(pair.hiding + k));
  if (whole.low == whole.high) return;
  float *first = scores + whole.low, *last = scores + whole.high - LANES;
  store(first, lane_numbers() < int(span.low - whole.low) ? splat(-INFINITE) : load(first));
  store(last, lane_numbers() < int(span.high - whole.high) + LANES ? load(last) : splat(-INFINITE));
}

// Pairs of bfloat16 cannot be scaled before they are multiplied.
inline bool in_pairs(const Call& call) { return PAIRS && call.query.type == Type::bfloat16 && !call.additive; }

inline void multiply(float* row, Span span, float scale) {
  for (Index k = span.low; k < span.high; k += LANES) store(row + k, load(row + k) * splat(scale));
}

// Their products are scaled as they become weights, which costs nothing, unless a table is added to them first, or a scale
// that is not positive would turn the -inf of what is hidden.
inline bool scaled_late(const Call& call) { return in_pairs(call) && !call.table && call.scale > 0; }
inline float late_scale(const Call& call) { return scaled_late(call) ? call.scale * unit(call) : 1; }

// Zeros in columns [from, to) outside of a span, all in whole vectors.
inline void clear_outside(Span span, Index from, Index to, float* row) {
  for (Index k = from; k < smaller(span.low, to); k += LANES) store(row + k, Vector{});
  for (Index k = greater(span.high, from); k < to; k += LANES) store(row + k, Vector{});
}

// How many keys a row sees, at least 1.
inline Index count_seen(const Call& call, const Sequence& sequence, Index batch, Index head, Index row) {
  const Span span = seen_by(call, sequence, row);
  Index count = span.high - span.low;
  if (call.key_mask || call.table_hides) {
    const Index position = row - sequence.row_start + call.query_start;
    count = 0;
    for (Index k = span.low; k < span.high; ++k) {
      bool sees = !call.key_mask || call.key_mask[batch * call.keys + k];
      if (sees && call.table_hides) {
        const Index place = k - sequence.key_start - position + call.table_left;
        sees = call.table[head * call.table_width + smaller(greater(place, 0), call.table_width - 1)] != -INFINITE;
      }
      count += sees;
    }
  }
  return greater(count, 1);
}

// Weights of a row in columns [from, to) from its scores, times `scale`, and what forward kept of it.
REGARD_APART void weigh(Normalizer normalizer, float scale, float kept, Index from, Index to, const float* scores,
                        float* weights) {
  const Vector it = splat(kept), zero{}, one = splat(1.f);
  for (Index k = from; k < to; k += LANES) {
    const Vector x = load(scores + k) * splat(scale);
    if (normalizer == Normalizer::softmax)
      store(weights + k, power_of_two(x - it));
    else if (normalizer == Normalizer::relu)
      store(weights + k, (x < zero ? zero : x) * it);
    else
      store(weights + k, it - x > splat(127.f) ? zero : one / (one + power_of_two(it - x)));
  }
}

// The largest of scores in columns [from, to).
REGARD_APART float largest_score(Index from, Index to, const float* scores) {
  Vector most = splat(-INFINITE), more = most;
  Index k = from;
  for (; k + 2 * LANES <= to; k += 2 * LANES) {
    most = larger(load(scores + k), most);
    more = larger(load(scores + k + LANES), more);
  }
  if (k < to) most = larger(load(scores + k), most);
  return largest(larger(most, more));
}

// Scores of a row in columns [from, to) to 2^(scale * score - base); returns their sum.
REGARD_APART float raise(Index from, Index to, float scale, float base, float* scores) {
  Vector total{};
  for (Index k = from; k < to; k += LANES) {
    const Vector power = power_of_two(load(scores + k) * splat(scale) - splat(base));
    store(scores + k, power);
    total += power;
  }
  return sum(total);
}

// Zero where dropout drops, the rest scaled up.
class Dropout {
 public:
  Dropout(const Pair& pair, Index row) : keys_(pair.key_hashes) {
    const Call& call = pair.call;
    const std::uint32_t plane = std::uint32_t(pair.batch * call.heads + pair.head);
    const std::int32_t by_row = mixed(std::int32_t(std::uint32_t(row) + std::uint32_t(call.seed & 0x7FFFFFFF)));
    const std::int32_t by_plane = mixed(std::int32_t(plane * SECOND + std::uint32_t(call.seed >> 31)));
    row_ = mixed(by_row ^ by_plane);
    threshold_ = std::int32_t(Index(call.dropout * 4294967296.0) - (Index(1) << 31));
    scale_ = float(1 / (1 - call.dropout));
  }
  Vector operator()(Index column, Vector x) const {
    Unsigned hash;
    std::memcpy(&hash, keys_ + column, sizeof hash);
    hash = (hash ^ std::uint32_t(row_)) * FIRST;
    Integers turned = (Integers)hash;
    hash = (Unsigned)(turned ^ (turned >> 15)) * SECOND;
    return (Integers)hash >= (Integers{} + threshold_) ? x * splat(scale_) : Vector{};
  }

 private:
  const std::int32_t* keys_;
  std::int32_t row_, threshold_;
  float scale_;
};

REGARD_APART void drop(const Pair& pair, Index row, Index from, Index to, float* weights) {
  const Dropout dropped(pair, row);
  for (Index k = from; k < to; k += LANES) store(weights + k, dropped(k, load(weights + k)));
}

// Runs `task(i)` for i < count on all threads, a few neighbours at a time. Which thread takes which changes nothing.
// Nothing thrown may leave a thread: where one finds no memory, all stop, and the caller's throws.
template <class Task>
inline void in_parallel(Index count, int threads, const Task& task) {
  const Index at_once = greater(1, count / (threads * Index(64)));
  threads = int(smaller(threads, count));
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
      for (Index i = first; i < smaller(first + at_once, count); ++i) task(i);
    }
  } catch (const OutOfMemory& error) {
    __atomic_store_n(&missing, error.bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&next, count, __ATOMIC_RELAXED);
  }
  if (missing) out_of_memory(missing);
}

// One block of query rows of one sequence.
struct Block {
  const Sequence* sequence;
  Index row_start, row_stop;
};

// How many blocks `cut` makes.
inline Index count_blocks(const Call& call, Index rows) {
  Index count = 0;
  for (Index s = 0; s < call.sequence_count; ++s)
    count += (call.sequences[s].row_stop - call.sequences[s].row_start + rows - 1) / rows;
  return count;
}

// Of all sequences.
inline Index all_rows(const Call& call) {
  Index rows = 0;
  for (Index s = 0; s < call.sequence_count; ++s) rows += call.sequences[s].row_stop - call.sequences[s].row_start;
  return rows;
}

// All blocks of rows, in order.
inline Memory<Block> cut(const Call& call, Index rows, Index& count) {
  count = count_blocks(call, rows);
  Memory<Block> blocks(count);
  Block* next = blocks;
  for (Index s = 0; s < call.sequence_count; ++s) {
    const Sequence& sequence = call.sequences[s];
    for (Index row = sequence.row_start; row < sequence.row_stop; row += rows)
      *next++ = {&sequence, row, smaller(row + rows, sequence.row_stop)};
  }
  return blocks;
}

}  // namespace regard::REGARD_ISA
