// Matrix products on vectors; see kernels/reference/matmul.cpp for the integers and kernels/panel.h for the layout.
//
// Vectors run along the columns of C, so each element is one chain of fused multiply-adds over k in order, whatever the
// width of the vectors, the tile or the edge. A tile is up to kTile rows of C by one panel, held in registers from the
// first multiply-add to what the kernel does last with the sums: store them, add the bias, update a weight. Only where
// C is a single panel and k is long, vectors run along k: they would be filled badly, and rows be read in pieces.
//
// In bfloat16, both factors are rounded into copies, a block at a time, that lie as the same tiles read them: in panels
// of 32 words, a word being the two numbers that one instruction multiplies and adds, the second one first. Without
// such an instruction, a word is a number in float32, and the order of the words does the rest.
#include <array>
#include <utility>

#include "kernels/call.h"
#include "kernels/denormals.h"
#include "kernels/panel.h"
#include "kernels/reduction.h"
#include "kernels/simd/program.h"
#include "kernels/simd/vector.h"

namespace nacre::NACRE_ISA_NAMESPACE {

namespace {

constexpr int kTile = kLanes == 16 ? 14 : kLanes == 8 ? 6 : 4;
// Columns that a tile works on at once. Narrower vectors take a panel in several strips: the registers hold no more.
constexpr int kStrip = kLanes == 16 ? 32 : 2 * kLanes;
constexpr int kVectors = kStrip / kLanes;
// Longer chains are cut, so that B stays in the second cache while tiles below one another use it; the chain goes on
// from the stored sums.
constexpr int64_t kBlock = 2048;
// Rows whose sums are kept meanwhile, and over which a register program runs while they are in the first cache.
constexpr int64_t kRows = 128;
// Where columns of bytes are a factor, so many of so many rows at a time become numbers, in the first cache.
constexpr int64_t kSomeColumns = 8 * kTile, kSomeRows = 64;

template <int Rows, int Vectors>
using Sums = F[Rows][Vectors];

NACRE_INLINE void prefetch(const void* from) { __builtin_prefetch(from); }

// What a word of the factors is.
enum class Word { number, pair };

// How the factors of C lie: the first one in panels, plain or transposed; the first one as rows of the data, or as
// their columns; the first one transposed, the second one as rows of the data. The data may be bytes.
enum class Lie { plain, transposed, rows, columns, over_data, rows_of_bytes, columns_of_bytes, over_bytes };

constexpr bool by_rows(Lie lie) { return lie == Lie::rows || lie == Lie::rows_of_bytes; }
constexpr bool by_columns(Lie lie) { return lie == Lie::columns || lie == Lie::columns_of_bytes; }
constexpr bool over(Lie lie) { return lie == Lie::over_data || lie == Lie::over_bytes; }
constexpr bool of_bytes(Lie lie) { return lie >= Lie::rows_of_bytes; }

#if defined(__AVX512BF16__)
constexpr Word kRounded = Word::pair;
#else
constexpr Word kRounded = Word::number;
#endif
// Words that two numbers to be added one after the other take.
constexpr int64_t kWords = kRounded == Word::pair ? 1 : 2;

template <Word W>
NACRE_INLINE F multiply_add(F a, F b, F sum) {
#if defined(__AVX512BF16__)
  if constexpr (W == Word::pair) return (F)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#endif
  return fma(a, b, sum);
}

// Numbers that follow each other in a row of the data; bytes each times `scale`.
NACRE_INLINE F numbers_at(const float* from, F) { return load<F>(from); }
NACRE_INLINE F numbers_at(const uint8_t* from, F scale) { return to_float((I)widen_bytes(from)) * scale; }

// Chains go on over `length` words. Word (i, p) of A is at a[p / 32 * a_panel + i * 32 + p % 32]. The rows of the tile
// in the next panel of A are one piece of memory: a line of it is fetched with each step.
template <Word W, int Rows, int Vectors>
NACRE_INLINE void chain_plain(const float* a, int64_t a_panel, const float* b, int64_t length, Ahead& ahead,
                              Sums<Rows, Vectors>& sum) {
  for (int64_t p = 0; p < length; p += kPanel) {
    const int64_t count = length - p < kPanel ? length - p : kPanel;
    const float* from = a + p / kPanel * a_panel;
    const float* next = from + a_panel;
    const float* rows = b + p * kPanel;
    const Ahead::Piece piece = ahead.take(count, rows);
    for (int64_t q = 0; q < count; ++q) {
      prefetch(next + q * 16);
      piece.fetch(q);
      F x[Vectors];
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) x[v] = load<F>(rows + q * kPanel + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const F factor = all(from[i * kPanel + q]);
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) sum[i][v] = multiply_add<W>(factor, x[v], sum[i][v]);
      }
    }
  }
}

// Chains go on over `length` columns of rows of the data; of the next ones, a line is fetched with each step.
template <Word W, int Rows, int Vectors, typename Item>
NACRE_INLINE void chain_rows(const Item* const (&rows)[Rows], float scale, const float* b, int64_t length, Ahead& ahead,
                             Sums<Rows, Vectors>& sum) {
  constexpr bool kOfBytes = sizeof(Item) == 1;
  constexpr int64_t kSteps = 8;
  alignas(64) float numbers[kOfBytes ? Rows : 1][kLanes + kPanel];  // the first ones for what is before the last few
  for (int64_t first = 0; first < length; first += kPanel) {
    const int64_t last = length - first < kPanel ? length : first + kPanel;
    const Ahead::Piece piece = ahead.take(last - first, b);
    if constexpr (kOfBytes)
      for (int i = 0; i < Rows; ++i)
        for (int64_t p = first; p < last; p += kLanes) {
          const int64_t at = p + kLanes > last ? last - kLanes : p;
          store(numbers[i] + kLanes + (at - first), numbers_at(rows[i] + at, all(scale)));
        }
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
      for (int line = 0; line < kPanel; line += 64 / sizeof(Item)) prefetch(rows[i] + first + kPanel + line);
    // Addresses of so many rows fill the registers: in the innermost loop, nothing else may need one.
    for (int64_t begin = first; begin < last; begin += kSteps) {
      const int64_t end = last - begin < kSteps ? last : begin + kSteps;
      for (int64_t p = begin; p < end; ++p) piece.fetch(p - first);
      for (int64_t p = begin; p < end; ++p) {
        F x[Vectors];
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) x[v] = load<F>(b + p * kPanel + v * kLanes);
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) {
          F factor;
          if constexpr (kOfBytes)
            factor = all(numbers[i][kLanes + p - first]);
          else
            factor = all(rows[i][p]);
#pragma GCC unroll 8
          for (int v = 0; v < Vectors; ++v) sum[i][v] = multiply_add<W>(factor, x[v], sum[i][v]);
        }
      }
    }
  }
}

// Word (i, p) of A is at column(p)[i]; row(p) gives vector v of row p of B.
template <Word W, int Rows, int Vectors, typename Column, typename Row>
NACRE_INLINE void chain_transposed(const Column& column, const Row& row, int64_t length, Sums<Rows, Vectors>& sum) {
  for (int64_t p = 0; p < length; ++p) {
    const float* factors = column(p);
    const auto from = row(p);
    F x[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) x[v] = from(v);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const F factor = all(factors[i]);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[i][v] = multiply_add<W>(factor, x[v], sum[i][v]);
    }
  }
}

// Fetches what lies where a tile does in a matrix in panels.
template <int Rows, int Vectors>
NACRE_INLINE void prefetch_tile(const float* from) {
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
    for (int l = 0; l < Vectors * kLanes; l += 16) prefetch(from + i * kPanel + l);
}

// What becomes of the sums of a tile; `at` is its first element within a panel of C. What it reads is fetched before.
struct Stored {
  float* c;
  int64_t first = 0;  // row of C that `c` begins with

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void fetch(int64_t) const {}

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void operator()(int64_t at, int, const Sums<Rows, Vectors>& sum) const {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) store(c + at + (i - first) * kPanel + v * kLanes, sum[i][v]);
  }
};

// The sums are kept, and a program will run over them that reads matrices like C.
struct Mapped {
  Stored stored;
  const Running* program;
  int64_t panel;

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void fetch(int64_t at) const {
    for (int64_t n = 0; n < program->program.inputs; ++n) {
      const MapInput& input = program->program.input[n];
      if (input.access == Access::dense && item_bytes(input.dtype) == 4)
        prefetch_tile<Rows, Vectors>(static_cast<const float*>(program->data[n]) + panel * input.step + at);
    }
  }

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void operator()(int64_t at, int strip, const Sums<Rows, Vectors>& sum) const {
    stored(at, strip, sum);
  }
};

struct Biased {
  float* c;
  const float* bias;
  float least;  // 0 for relu, else minus infinity

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void fetch(int64_t) const {}

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void operator()(int64_t at, int strip, const Sums<Rows, Vectors>& sum) const {
    F b[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) b[v] = load<F>(bias + strip + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) store(c + at + i * kPanel + v * kLanes, larger(sum[i][v] + b[v], all(least)));
  }
};

struct Masked {
  float* c;
  const float* mask;
  float scale;

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void fetch(int64_t at) const {
    prefetch_tile<Rows, Vectors>(mask + at);
  }

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void operator()(int64_t at, int, const Sums<Rows, Vectors>& sum) const {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) {
        const int64_t place = at + i * kPanel + v * kLanes;
        store(c + place, choose(load<F>(mask + place) > 0.0f, sum[i][v] * scale, all(0.0f)));
      }
  }
};

struct Updated {
  float* c;
  const float* w;
  float rate;

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void fetch(int64_t at) const {
    prefetch_tile<Rows, Vectors>(w + at);
  }

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void operator()(int64_t at, int, const Sums<Rows, Vectors>& sum) const {
    const F step = all(rate);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) {
        const int64_t place = at + i * kPanel + v * kLanes;
        store(c + place, load<F>(w + place) - step * sum[i][v]);
      }
  }
};

// A block of the chains of a panel of C.
struct Job {
  const float *a, *b;  // the block of A, from row `first` of C on, and of B
  int64_t first, a_panel, length;
  bool begins, ends;
  float* kept;  // the sums between two blocks, from row `kept_first` on
  int64_t kept_first;
  Ahead* ahead;                    // a line of it is fetched with each step
  const float* data = nullptr;     // where the factor lies that the data hold
  const int64_t* order = nullptr;  // its rows, from the first one of the block on
  int64_t stride = 0;              // how far apart they begin
  const uint8_t* bytes = nullptr;  // the same as `a`, or as `b`, of data that are bytes
  int64_t first_byte = 0;          // of each row, where `b` begins
  float scale = 0;
};

template <Lie L, Word W, int Rows, int Vectors, typename End>
void tile(const Job& job, int64_t row, int strip, const End& end) {
  Sums<Rows, Vectors> sum;
  const Stored keep{job.kept + (row - job.kept_first) * kPanel + strip};
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) sum[i][v] = job.begins ? all(0.0f) : load<F>(keep.c + i * kPanel + v * kLanes);
  const int64_t at = row - job.first;
  end.template fetch<Rows, Vectors>(row * kPanel + strip);
  const float* b = job.b + strip;
  const auto vectors = [](const float* from) { return [from](int v) { return load<F>(from + v * kLanes); }; };
  const auto in_panel = [&](int64_t p) { return vectors(b + p * kPanel); };
  const auto ahead_of_tiles = [](const auto* from, int64_t next) {
    prefetch(from + next);  // what the next tile reads, a piece of every row
    if constexpr (sizeof *from == 4) prefetch(from + next + 16);
    return from;
  };
  if constexpr (L == Lie::plain) {
    chain_plain<W, Rows, Vectors>(job.a + at * kPanel, job.a_panel, b, job.length, *job.ahead, sum);
  } else if constexpr (L == Lie::rows) {
    const float* rows[Rows];
    for (int i = 0; i < Rows; ++i) rows[i] = job.a + job.order[at + i] * job.stride;
    chain_rows<W, Rows, Vectors>(rows, 0, b, job.length, *job.ahead, sum);
  } else if constexpr (L == Lie::rows_of_bytes) {
    const uint8_t* rows[Rows];
    for (int i = 0; i < Rows; ++i) rows[i] = job.bytes + job.order[at + i] * job.stride;
    chain_rows<W, Rows, Vectors>(rows, job.scale, b, job.length, *job.ahead, sum);
  } else if constexpr (L == Lie::columns) {
    const auto column = [&](int64_t p) { return ahead_of_tiles(job.a + at + job.order[p] * job.stride, Rows); };
    chain_transposed<W, Rows, Vectors>(column, in_panel, job.length, sum);
  } else {
    const float* a = job.a + at / kPanel * job.a_panel + at % kPanel;
    const auto column = [&](int64_t p) {
      prefetch(a + (p + 8) * kPanel);
      return a + p * kPanel;
    };
    const int64_t byte = (b - job.data) * static_cast<int64_t>(sizeof(float));
    const auto of_data = [&](int64_t p) {
      job.ahead->fetch_late(p, byte);
      job.ahead->fetch_late(p, byte + 64);
      return vectors(ahead_of_tiles(b + job.order[p] * job.stride, kPanel));
    };
    const auto row_of_bytes = [&](int64_t p) {
      job.ahead->fetch_late(p, job.first_byte + strip);
      const uint8_t* from = ahead_of_tiles(job.bytes + strip + job.order[p] * job.stride, kPanel);
      return [from, scale = all(job.scale)](int v) { return numbers_at(from + v * kLanes, scale); };
    };
    if constexpr (L == Lie::over_data)
      chain_transposed<W, Rows, Vectors>(column, of_data, job.length, sum);
    else if constexpr (L == Lie::over_bytes)
      chain_transposed<W, Rows, Vectors>(column, row_of_bytes, job.length, sum);
    else
      chain_transposed<W, Rows, Vectors>(column, in_panel, job.length, sum);
  }
  if (job.ends)
    end.template operator()<Rows, Vectors>(row * kPanel + strip, strip, sum);
  else
    keep.template operator()<Rows, Vectors>(0, strip, sum);
}

template <typename End>
using Tile = void (*)(const Job&, int64_t, int, const End&);

template <Lie L, Word W, int Vectors, typename End, size_t... Rows>
constexpr auto tiles_of(std::index_sequence<Rows...>) {
  return std::array<Tile<End>, sizeof...(Rows)>{tile<L, W, Rows + 1, Vectors, End>...};
}

// Rows row .. last - 1 of the block, in tiles of about the same height.
template <Lie L, Word W, typename End>
NACRE_INLINE void rows_of_block(const Job& job, int64_t first, int64_t last, int64_t columns, const End& end) {
  static constexpr auto kWide = tiles_of<L, W, kVectors, End>(std::make_index_sequence<kTile>());
  static constexpr auto kNarrow = tiles_of<L, W, 1, End>(std::make_index_sequence<kTile>());
  for (int strip = 0; strip < columns; strip += kStrip) {
    const auto& tiles = columns - strip <= kLanes ? kNarrow : kWide;  // one vector does for the last few columns
    for (int64_t row = first; row < last;) {
      // A transposed operand lies in panels too, which a tile must not leave.
      constexpr bool kInPanels = L == Lie::transposed || over(L);
      const int64_t edge = (row / kPanel + 1) * kPanel, end_of_run = kInPanels && edge < last ? edge : last;
      const int64_t left = end_of_run - row, tiles_left = (left + kTile - 1) / kTile;
      const int64_t height = (left + tiles_left - 1) / tiles_left;
      tiles[height - 1](job, row, strip, end);
      row += height;
    }
  }
}

// For calls that have nothing to fetch.
thread_local Ahead nothing;

NACRE_INLINE Ahead& ahead_of(const Call& call) { return call.ahead ? *call.ahead : nothing; }

struct Storage {
  alignas(64) float sums[kRows * kPanel];
  alignas(64) float numbers[kSomeRows * kSomeColumns];
};

thread_local Storage storage;

// The rows of a batch, a factor, wherever they lie: row r begins at data + order[r] * stride, or r * stride if there is
// no order, and its panels are so many numbers apart.
struct Lines {
  const float* data = nullptr;
  const uint8_t* bytes = nullptr;  // the same
  const int64_t* order = nullptr;
  int64_t stride = kPanel, panel = kPanel;
  float scale = 0;  // of bytes

  Lines() = default;
  Lines(const void* matrix, int64_t rows) : data(static_cast<const float*>(matrix)), panel(rows * kPanel) {}
  Lines(const void* column, int64_t columns, int64_t how) : stride(columns), scale(scale_of(how)) {
    const auto& rows = *static_cast<const Rows*>(column);
    data = reinterpret_cast<const float*>(rows.data);
    bytes = rows.data;
    order = rows.order;
  }

  template <typename Item = float>
  [[gnu::always_inline]] const Item* row(int64_t r) const {
    const int64_t at = (order ? order[r] : r) * stride;
    if constexpr (sizeof(Item) == 1)
      return bytes + at;
    else
      return data + at;
  }
};

// The factors of C, and the chains: over columns begin .. end - 1 of A. A is (m, k), or where it is transposed (k, m).
struct Factors {
  const float *a, *b;
  int64_t m, k, begin, end;
  Lines lines;  // of the factor that lies in the data
};

// The block of B that comes after p .. stop - 1 of a panel.
NACRE_INLINE Ahead next_of(const Factors& of, int64_t panel, int64_t p, int64_t stop) {
  const bool more = stop < of.end;
  const float* next = of.b + ((panel + !more) * of.k + (more ? stop : of.begin)) * kPanel;
  const int64_t bytes = (stop - p) * kPanel * 4;
  return {reinterpret_cast<const uint8_t*>(next), nullptr, 1, bytes, 0, bytes};
}

// Columns first .. last - 1 of the rows of a job, as numbers, row after row.
NACRE_INLINE void numbers_of(const Job& job, int64_t first, int64_t last, float* numbers) {
  for (int64_t p = 0; p < job.length; ++p, numbers += kSomeColumns) {
    const uint8_t* row = job.bytes + job.order[p] * job.stride;
    int64_t c = first;
    for (; c + kLanes <= last; c += kLanes) store(numbers + (c - first), numbers_at(row + c, all(job.scale)));
    for (; c < last; ++c) numbers[c - first] = static_cast<float>(row[c]) * job.scale;
  }
}

// After how many multiply-adds the chains of a product are cut, so that a cache holds what they read.
constexpr int64_t block_of(Lie lie) { return lie == Lie::columns_of_bytes ? kSomeRows : kBlock; }

// Rows first .. last - 1 of a panel of C, at most kRows of them if the chains are longer than a block.
template <Lie L, typename End>
NACRE_INLINE void in_place(const Factors& of, int64_t panel, int64_t first, int64_t last, int64_t columns, Ahead& ahead,
                           const End& end) {
  constexpr int64_t kLength = block_of(L);
  for (int64_t p = of.begin; p < of.end || p == of.begin; p += kLength) {
    const int64_t stop = p + kLength < of.end ? p + kLength : of.end;
    Ahead next = next_of(of, panel, p, stop);
    constexpr bool kOver = over(L), kFrom = by_rows(L) || by_columns(L);
    const float* a = kFrom ? of.lines.data : of.a;
    const Job job{a + (L == Lie::plain ? p * of.m
                       : by_rows(L)    ? p
                       : by_columns(L) ? 0
                                       : p * kPanel),
                  kOver ? of.lines.data + panel * kPanel : of.b + (panel * of.k + p) * kPanel,
                  0,
                  L == Lie::plain ? of.m * kPanel : of.k * kPanel,
                  stop - p,
                  p == of.begin,
                  stop == of.end,
                  storage.sums,
                  first,
                  kOver || ahead.row < ahead.early ? &ahead : &next,
                  of.lines.data,
                  by_columns(L) || kOver ? of.lines.order + p : of.lines.order,
                  of.lines.stride,
                  of_bytes(L) ? of.lines.bytes + (by_rows(L) ? p
                                                  : kOver    ? panel * kPanel
                                                             : 0)
                              : nullptr,
                  kOver ? panel * kPanel : 0,
                  of.lines.scale};
    if constexpr (L == Lie::columns_of_bytes) {
      static constexpr auto kInOrder = [] {
        std::array<int64_t, kSomeRows> order{};
        for (int64_t n = 0; n < kSomeRows; ++n) order[n] = n;
        return order;
      }();
      for (int64_t row = first; row < last; row += kSomeColumns) {
        const int64_t limit = row + kSomeColumns < last ? row + kSomeColumns : last;
        numbers_of(job, row, limit, storage.numbers);
        Job of_numbers = job;
        of_numbers.a = storage.numbers - row;
        of_numbers.order = kInOrder.data();
        of_numbers.stride = kSomeColumns;
        rows_of_block<Lie::columns, Word::number>(of_numbers, row, limit, columns, end);
      }
    } else {
      rows_of_block<L, Word::number>(job, first, last, columns, end);
    }
  }
}

// This call's share of C. When the kernel may choose: by columns, so that each thread keeps its part of the weights in
// its own cache, when there are more of them than rows that a weight meets, and of a gradient also when the inputs, of
// which each thread then needs all, are fewer; else by rows.
struct Share {
  int64_t row0, row1, panel0, panel1;

  explicit Share(const Call& call) {
    const int64_t m = call.args[0], k = call.args[1], n = call.args[2], count = panels(n);
    const bool transposed = call.args[3] & kTransposed, even = count % call.parts == 0 || count >= 4 * call.parts;
    const int64_t unit = transposed ? kPanel : 1, groups = transposed ? panels(m) : m;
    const bool by_columns = call.sharing == Sharing::turned ||
                            (call.sharing == Sharing::free && count >= call.parts &&
                             (groups < call.parts || (even && (n > (transposed ? k : m) || (transposed && n > m)))));
    row0 = by_columns ? 0 : call.begin(groups) * unit;
    row1 = by_columns ? m : call.end(groups) * unit;
    if (row1 > m) row1 = m;
    panel0 = by_columns ? call.begin(count) : 0;
    panel1 = by_columns ? call.end(count) : count;
  }
};

NACRE_INLINE int64_t columns_of(int64_t panel, int64_t n) {
  return n - panel * kPanel < kPanel ? n - panel * kPanel : kPanel;
}

// Columns beyond the last strip are not computed. They mean nothing, but they must not be numbers that slow the next
// kernel down.
NACRE_INLINE void clear_the_rest(float* c, int64_t rows, int64_t columns) {
  const int64_t done = columns <= kLanes ? kLanes : (columns + kStrip - 1) / kStrip * kStrip;
  if (done >= kPanel) return;
  for (int64_t r = 0; r < rows; ++r) __builtin_memset(c + r * kPanel + done, 0, (kPanel - done) * sizeof(float));
}

// The nearest numbers of bfloat16, ties to even, in float32. Those too small to be normal become 0, as where a
// processor does this by itself.
NACRE_INLINE F to_bfloat16(F x) {
  const U bits = (U)x, size = bits & 0x7fffffffu;
  const U rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
  const U normal = size < 0x00800000u ? bits & 0x80000000u : rounded;
  return (F)(size > 0x7f800000u ? (bits | 0x00400000u) & 0xffff0000u : normal);
}

// Blocks of both factors in bfloat16.
struct Copies {
  alignas(64) float a[kRows * kBlock / 2 * kWords];
  alignas(64) float b[kBlock / 2 * kWords * kPanel];
};

thread_local Copies copies;

// Rows p .. stop - 1 of a panel, in pairs; what follows the last one counts as 0.
NACRE_INLINE void pair_rows(const float* panel, int64_t p, int64_t stop, float* to) {
  for (; p < stop; p += 2, to += kWords * kPanel) {
    const bool both = p + 1 < stop;
    for (int c = 0; c < kPanel; c += kLanes) {
      const F first = load<F>(panel + p * kPanel + c);
      const F second = both ? load<F>(panel + (p + 1) * kPanel + c) : all(0.0f);
#if defined(__AVX512BF16__)
      alignas(64) static constexpr int16_t kInterleave[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                              21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                              11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
      const auto halves = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
      store(to + c, _mm512_permutexvar_epi16(load<__m512i>(kInterleave), halves));
#else
      store(to + c, to_bfloat16(second));
      store(to + kPanel + c, to_bfloat16(first));
#endif
    }
  }
}

// Columns p .. stop - 1 of some rows of a matrix with panels of `panel` numbers, in pairs; p begins a panel. What
// follows the last one counts as 0.
NACRE_INLINE void pair_columns(const float* rows, int64_t panel, int64_t count, int64_t p, int64_t stop, float* to) {
  constexpr int64_t kColumns = kPanel * 2 / kWords;  // that become a panel of words
  for (; p < stop; p += kColumns, to += count * kPanel) {
    const float* from = rows + p / kPanel * panel;
    for (int c = 0; c < kColumns && p + c < stop; c += kLanes * 2 / kWords) {
#if defined(__AVX512BF16__)
      const float* low = from + c / kPanel * panel;
      const int64_t left = stop - p - c;
      const auto lanes = static_cast<__mmask32>(left < 32 ? (1u << left) - 1 : 0xffffffffu);
      for (int64_t i = 0; i < count; ++i, low += kPanel) {
        const auto first = (__m512)load<F>(low), second = (__m512)load<F>(low + kLanes);
        store(to + i * kPanel + c / 2, _mm512_maskz_mov_epi16(lanes, (__m512i)_mm512_cvtne2ps_pbh(second, first)));
      }
#else
      I inside = {};
      for (int l = 0; l < kLanes; ++l) inside[l] = p + c + l < stop ? -1 : 0;
      for (int64_t i = 0; i < count; ++i) {
        const F x = choose(inside, to_bfloat16(load<F>(from + i * kPanel + c)), all(0.0f));
        store(to + i * kPanel + c, shuffle<[](int l) { return l ^ 1; }>(x, x));
      }
#endif
    }
  }
}

// The same in bfloat16. Of A, what was rounded before is used again.
template <Lie L, typename End>
NACRE_INLINE void rounded(const Factors& of, int64_t panel, int64_t first, int64_t last, int64_t columns, bool again,
                          const End& end) {
  for (int64_t p = of.begin; p < of.end || p == of.begin; p += kBlock) {
    const int64_t stop = p + kBlock < of.end ? p + kBlock : of.end, words = (stop - p + 1) / 2 * kWords;
    if (!again || of.end - of.begin > kBlock) {
      if constexpr (L == Lie::transposed)
        for (int64_t row = first; row < last; row += kPanel)
          pair_rows(of.a + row / kPanel * of.k * kPanel, p, stop, copies.a + (row - first) / kPanel * words * kPanel);
      else
        pair_columns(of.a + first * kPanel, of.m * kPanel, last - first, p, stop, copies.a);
    }
    pair_rows(of.b + panel * of.k * kPanel, p, stop, copies.b);
    Ahead ahead = next_of(of, panel, p, stop);
    const Job job{
        copies.a, copies.b,      first,          L == Lie::transposed ? words * kPanel : (last - first) * kPanel,
        words,    p == of.begin, stop == of.end, storage.sums,
        first,    &ahead};
    rows_of_block<L, kRounded>(job, first, last, columns, end);
  }
}

// Rows of A of which a block has room in its copy, whose panels are as wide as ever: whole panels.
NACRE_INLINE int64_t rows_rounded(int64_t length) {
  constexpr int64_t kColumns = kPanel * 2 / kWords;
  const int64_t block = length < kBlock ? (length + kColumns - 1) / kColumns * kColumns : kBlock;
  return block ? kRows * kBlock / block / kPanel * kPanel : kRows;
}

// A row of the share, whose chains are as long as they are: a tile with one row would wait for its two chains, so
// panels are made several at a time. Returns the first panel that is left.
template <Lie L, typename MakeEnd, typename After>
NACRE_INLINE int64_t one_row(const Factors& of, int64_t row, int64_t panel, int64_t last, const MakeEnd& make_end,
                             const After& after) {
  constexpr int kStrips = kPanel / kStrip, kPanels = kStrips < 4 ? 4 / kStrips : 1, kAtOnce = kPanels * kStrips;
  const float* x = L == Lie::rows ? of.lines.row(row) : of.a + row * kPanel;
  for (; panel + kPanels <= last; panel += kPanels) {
    Sums<1, kVectors> sum[kAtOnce];
    const float* b[kAtOnce];
    for (int s = 0; s < kAtOnce; ++s) b[s] = of.b + (panel + s / kStrips) * of.k * kPanel + s % kStrips * kStrip;
#pragma GCC unroll 4
    for (auto& sums : sum)
#pragma GCC unroll 8
      for (F& one : sums[0]) one = all(0.0f);
    for (int64_t p = 0; p < of.k; ++p) {
      const F factor = all(L == Lie::rows ? x[p] : x[p / kPanel * of.m * kPanel + p % kPanel]);
#pragma GCC unroll 4
      for (int s = 0; s < kAtOnce; ++s)
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v)
          sum[s][0][v] = fma(factor, load<F>(b[s] + p * kPanel + v * kLanes), sum[s][0][v]);
    }
    for (int s = 0; s < kAtOnce; ++s) {
      const int64_t q = panel + s / kStrips;
      const int strip = s % kStrips * kStrip;
      make_end(q, row).template operator()<1, kVectors>(row * kPanel + strip, strip, sum[s]);
      if (s % kStrips == kStrips - 1) after(q, row, row + 1);
    }
  }
  return panel;
}

// Each piece of the share: `make_end(panel)` tells what becomes of its sums, `after(panel, first, last)` is called when
// it is made.
template <Lie L, typename MakeEnd, typename After>
void product(const Call& call, int64_t piece, const MakeEnd& make_end, const After& after) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2];
  Factors of{static_cast<const float*>(call.operands[0]), static_cast<const float*>(call.operands[1]), m, k, 0, k, {}};
  if constexpr (over(L)) of.lines = Lines(call.operands[1], n, call.args[3]);
  if constexpr (L == Lie::rows) of.lines = Lines(call.operands[0], k, call.args[3]);
  if constexpr (by_columns(L)) of.lines = Lines(call.operands[0], m, call.args[3]);
  const Share share(call);
  const NoDenormals guard(call.args[3] & kBfloat16);
  if constexpr (L == Lie::plain || L == Lie::transposed)
    if (call.args[3] & kBfloat16) {
      const int64_t room = rows_rounded(k), height = piece < room ? piece : room;
      for (int64_t row = share.row0; row < share.row1; row += height)
        for (int64_t q = share.panel0; q < share.panel1; ++q) {
          const int64_t last = row + height < share.row1 ? row + height : share.row1;
          rounded<L>(of, q, row, last, columns_of(q, n), q != share.panel0, make_end(q, row));
          after(q, row, last);
        }
      return;
    }
  int64_t first = share.panel0;
  if constexpr (L == Lie::plain || L == Lie::rows)
    if (share.row1 - share.row0 == 1) first = one_row<L>(of, share.row0, first, share.panel1, make_end, after);
  for (int64_t q = first; q < share.panel1; ++q)
    for (int64_t row = share.row0; row < share.row1; row += piece) {
      const int64_t last = row + piece < share.row1 ? row + piece : share.row1;
      in_place<L>(of, q, row, last, columns_of(q, n), ahead_of(call), make_end(q, row));
      after(q, row, last);
    }
}

// The product of a first factor that is not transposed.
template <typename MakeEnd, typename After>
NACRE_INLINE void plain_product(const Call& call, int64_t piece, const MakeEnd& make_end, const After& after) {
  const auto make = call.args[3] & kFromData ? product<Lie::rows, MakeEnd, After> : product<Lie::plain, MakeEnd, After>;
  make(call, piece, make_end, after);
}

template <typename MakeEnd, typename After>
NACRE_INLINE void transposed_product(const Call& call, int64_t piece, const MakeEnd& make_end, const After& after) {
  const int64_t how = call.args[3];
  const auto from =
      how & kBytes ? product<Lie::columns_of_bytes, MakeEnd, After> : product<Lie::columns, MakeEnd, After>;
  const auto along = how & kBytes ? product<Lie::over_bytes, MakeEnd, After> : product<Lie::over_data, MakeEnd, After>;
  const auto make = how & kFromData ? from : how & kOverData ? along : product<Lie::transposed, MakeEnd, After>;
  make(call, piece, make_end, after);
}

template <typename MakeEnd, typename After>
NACRE_INLINE void any_product(const Call& call, int64_t piece, const MakeEnd& make_end, const After& after) {
  const auto make = call.args[3] & kTransposed ? transposed_product<MakeEnd, After> : plain_product<MakeEnd, After>;
  make(call, piece, make_end, after);
}

NACRE_INLINE int64_t piece_of(const Call& call) {
  constexpr int64_t kColumnsOfBytes = kTransposed | kFromData | kBytes;
  const bool of_columns = (call.args[3] & kColumnsOfBytes) == kColumnsOfBytes;
  return call.args[1] > block_of(of_columns ? Lie::columns_of_bytes : Lie::plain) ? kRows : INT64_MAX / 2;
}

// ------------------------------------------------------------------ along the chains

// Vectors that the sixteen sums of an element take, and elements of a tile, whose sums the registers hold.
constexpr int kParts = kLanesOfSum / kLanes;
constexpr int kDotRows = kLanes == 16 ? 4 : kLanes == 8 ? 3 : 1, kDotUnits = kLanes == 16 ? 5 : 2;

// Two vectors with groups of 2 * Half sums become one with the sums of their halves, in groups of Half.
template <int Half>
NACRE_INLINE F join(F a, F b) {
  return shuffle<[](int l) { return l / Half * 2 * Half + l % Half; }>(a, b) +
         shuffle<[](int l) { return l / Half * 2 * Half + l % Half + Half; }>(a, b);
}

// The sums of up to kLanes elements, each of a vector of sums.
template <int Half, int Count>
NACRE_INLINE F join_all(F* sums) {
#pragma GCC unroll 16
  for (int i = 0; 2 * i < Count; ++i) sums[i] = join<Half>(sums[2 * i], sums[2 * i + 1 < Count ? 2 * i + 1 : 2 * i]);
  if constexpr (Half > 1)
    return join_all<Half / 2, (Count + 1) / 2>(sums);
  else
    return sums[0];
}

// The sums of `Elements` elements from number `First` on, each of kParts vectors of sums.
template <int First, int Elements>
NACRE_INLINE void add_up(const F (*sums)[kParts], float* totals) {
  constexpr int kCount = Elements - First < kLanes ? Elements - First : kLanes;
  F group[kCount];
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i) {
    const F(&parts)[kParts] = sums[First + i];
    group[i] = parts[0];
    if constexpr (kParts == 2) group[i] = parts[0] + parts[1];
    if constexpr (kParts == 4) group[i] = (parts[0] + parts[2]) + (parts[1] + parts[3]);
  }
  store(totals + First, join_all<kLanes / 2, kCount>(group));
  if constexpr (First + kLanes < Elements) add_up<First + kLanes, Elements>(sums, totals);
}

struct Dots {
  Lines x;         // rows of the batch
  const float* w;  // rows of units, in panels
  int64_t units, begin, end;
  float* c;
  Ahead* ahead;
};

// Sixteen numbers of each factor; of the last ones, `count` are there.
template <bool Rounded, bool Whole, int Rows, int Units, typename Item>
NACRE_INLINE void multiply_along(const Item* const (&rows)[Rows], F scale, int64_t at, const float* units,
                                 int64_t count, F (&sum)[Rows * Units][kParts]) {
#pragma GCC unroll 4
  for (int v = 0; v < kParts; ++v) {
    I inside = {};
    for (int l = 0; l < kLanes; ++l) inside[l] = v * kLanes + l < count ? -1 : 0;
    const auto numbers = [&](const auto* from) {
      F x = numbers_at(from + v * kLanes, scale);
      if constexpr (!Whole) x = choose(inside, x, all(0.0f));
      return Rounded ? to_bfloat16(x) : x;
    };
    F weight[Units];
#pragma GCC unroll 8
    for (int u = 0; u < Units; ++u) weight[u] = numbers(units + u * kPanel);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const F x = numbers(rows[r] + at);
#pragma GCC unroll 8
      for (int u = 0; u < Units; ++u) sum[r * Units + u][v] = fma(x, weight[u], sum[r * Units + u][v]);
    }
  }
}

template <bool Rounded, typename Item, int Rows, int Units>
void dot_tile(const Dots& of, int64_t row, int64_t unit) {
  constexpr int64_t kLines = 2;  // fetched with each panel
  F sum[Rows * Units][kParts] = {};
  const Item* rows[Rows];
  for (int r = 0; r < Rows; ++r) rows[r] = of.x.row<Item>(row + r);
  const F scale = all(of.x.scale);
  const float* units = of.w + (of.begin / kPanel * of.units + unit) * kPanel;
  int64_t p = of.begin, at = of.begin / kPanel * of.x.panel;
  for (; p + kPanel <= of.end; p += kPanel, at += of.x.panel, units += of.units * kPanel) {
    const Ahead::Piece piece = of.ahead->take(kLines, units);
    for (int64_t line = 0; line < kLines; ++line) piece.fetch(line);
    multiply_along<Rounded, true, Rows, Units>(rows, scale, at, units, kLanesOfSum, sum);
    multiply_along<Rounded, true, Rows, Units>(rows, scale, at + kLanesOfSum, units + kLanesOfSum, kLanesOfSum, sum);
  }
  for (int64_t done = 0; p + done < of.end; done += kLanesOfSum)
    if (const int64_t left = of.end - p - done; left < kLanesOfSum)
      multiply_along<Rounded, false, Rows, Units>(rows, scale, at + done, units + done, left, sum);
    else
      multiply_along<Rounded, true, Rows, Units>(rows, scale, at + done, units + done, kLanesOfSum, sum);
  alignas(64) float totals[Rows * Units + kLanes];
  add_up<0, Rows * Units>(sum, totals);
  for (int r = 0; r < Rows; ++r)
    __builtin_memcpy(of.c + (row + r) * kPanel + unit, totals + r * Units, Units * sizeof(float));
}

using DotTile = void (*)(const Dots&, int64_t, int64_t);

template <bool Rounded, typename Item, size_t... Sizes>
constexpr auto dot_tiles_of(std::index_sequence<Sizes...>) {
  return std::array{DotTile(dot_tile<Rounded, Item, Sizes / kDotUnits + 1, Sizes % kDotUnits + 1>)...};
}

// How many of `left` the next tile takes, so that all become about as large.
NACRE_INLINE int64_t tile_size(int64_t left, int64_t most) {
  const int64_t tiles = (left + most - 1) / most;
  return (left + tiles - 1) / tiles;
}

template <bool Rounded, typename Item>
void dots(const Dots& of, int64_t rows) {
  static constexpr auto kTiles = dot_tiles_of<Rounded, Item>(std::make_index_sequence<kDotRows * kDotUnits>());
  for (int64_t row = 0, height; row < rows; row += height) {
    height = tile_size(rows - row, kDotRows);
    for (int64_t unit = 0, width; unit < of.units; unit += width) {
      width = tile_size(of.units - unit, kDotUnits);
      kTiles[(height - 1) * kDotUnits + width - 1](of, row, unit);
    }
  }
}

}  // namespace

void matmul(const Call& call) {
  const int64_t m = call.args[0], n = call.args[2];
  auto* c = static_cast<float*>(call.operands[2]);
  const auto end = [&](int64_t q, int64_t) { return Stored{c + q * m * kPanel}; };
  const auto after = [&](int64_t q, int64_t first, int64_t last) {
    clear_the_rest(c + (q * m + first) * kPanel, last - first, columns_of(q, n));
  };
  any_product(call, piece_of(call), end, after);
}

// By slices, each thread keeps its part of the weights, and of what it reads of the rows, in its own cache.
void matmul_slices(const Call& call) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2], slices = call.args[4];
  const bool from_data = call.args[3] & kFromData, bfloat16 = call.args[3] & kBfloat16;
  const bool bytes = call.args[3] & kBytes;
  const NoDenormals guard(bfloat16);
  Factors of{static_cast<const float*>(call.operands[0]), static_cast<const float*>(call.operands[1]), m, k, 0, 0, {}};
  if (from_data) of.lines = Lines(call.operands[0], k, call.args[3]);
  for (int64_t s = call.begin(slices); s < call.end(slices); ++s) {
    auto* c = static_cast<float*>(call.operands[2 + s]);
    of.begin = slice_begin(k, s, slices);
    of.end = slice_begin(k, s + 1, slices);
    // The others have read these sums: to get them back for writing takes time, until the product is made.
    for (int64_t row = 0; row < m && row < kRows; ++row)
      for (int64_t l = 0; l < kPanel; l += 16) __builtin_prefetch(c + row * kPanel + l, 1);
    const Stored end{c};
    const int64_t piece = of.end - of.begin > kBlock ? kRows : bfloat16 ? rows_rounded(of.end - of.begin) : m;
    for (int64_t row = 0; row < m; row += piece) {
      const int64_t last = row + piece < m ? row + piece : m;
      if (bfloat16)
        rounded<Lie::plain>(of, 0, row, last, n, false, end);
      else if (bytes)
        in_place<Lie::rows_of_bytes>(of, 0, row, last, n, ahead_of(call), end);
      else if (from_data)
        in_place<Lie::rows>(of, 0, row, last, n, ahead_of(call), end);
      else
        in_place<Lie::plain>(of, 0, row, last, n, ahead_of(call), end);
    }
    clear_the_rest(c, m, n);
  }
}

void matmul_dots(const Call& call) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2], slices = call.args[4];
  const Lines x = call.args[3] & kFromData ? Lines(call.operands[0], k, call.args[3]) : Lines(call.operands[0], m);
  const auto make = call.args[3] & kBytes      ? dots<false, uint8_t>
                    : call.args[3] & kBfloat16 ? dots<true, float>
                                               : dots<false, float>;
  for (int64_t s = call.begin(slices); s < call.end(slices); ++s) {
    auto* c = static_cast<float*>(call.operands[2 + s]);
    const Dots of{x,
                  static_cast<const float*>(call.operands[1]),
                  n,
                  slice_begin(k, s, slices),
                  slice_begin(k, s + 1, slices),
                  c,
                  &ahead_of(call)};
    __builtin_memset(c, 0, m * kPanel * sizeof(float));  // of each row, some are made
    make(of, m);
  }
}

void matmul_bias(const Call& call) {
  const int64_t m = call.args[0], n = call.args[2];
  const auto* bias = static_cast<const float*>(call.operands[2]);
  auto* c = static_cast<float*>(call.operands[3]);
  const float least = call.args[4] ? 0.0f : -__builtin_inff();
  plain_product(
      call, piece_of(call), [&](int64_t q, int64_t) { return Biased{c + q * m * kPanel, bias + q * kPanel, least}; },
      [&](int64_t q, int64_t first, int64_t last) {
        clear_the_rest(c + (q * m + first) * kPanel, last - first, columns_of(q, n));
      });
}

void matmul_masked(const Call& call) {
  const int64_t m = call.args[0], n = call.args[2];
  const auto* mask = static_cast<const float*>(call.operands[2]);
  auto* c = static_cast<float*>(call.operands[3]);
  const auto scale = __builtin_bit_cast(float, static_cast<uint32_t>(call.args[4]));
  plain_product(
      call, piece_of(call),
      [&](int64_t q, int64_t) { return Masked{c + q * m * kPanel, mask + q * m * kPanel, scale}; },
      [&](int64_t q, int64_t first, int64_t last) {
        clear_the_rest(c + (q * m + first) * kPanel, last - first, columns_of(q, n));
      });
}

void matmul_update(const Call& call) {
  const int64_t m = call.args[0];
  const float rate = *static_cast<const float*>(call.operands[2]);
  const auto* w = static_cast<const float*>(call.operands[3]);
  auto* c = static_cast<float*>(call.operands[4]);
  transposed_product(
      call, piece_of(call), [&](int64_t q, int64_t) { return Updated{c + q * m * kPanel, w + q * m * kPanel, rate}; },
      [](int64_t, int64_t, int64_t) {});
}

// The product is made in pieces that stay in the first cache until the program has run over them.
void matmul_map(const Call& call) {
  Running program(call.args + 4, call.operands + 2);
  const int64_t n = call.args[2];
  const auto end = [&](int64_t q, int64_t row) { return Mapped{{storage.sums, row}, &program, q}; };
  const auto after = [&](int64_t q, int64_t first, int64_t last) {
    clear_the_rest(storage.sums, last - first, columns_of(q, n));
    constexpr int64_t kFew = kLanesOfBlock / kPanel;
    for (int64_t row = first; row < last; row += kFew) {
      const int64_t rows = last - row < kFew ? last - row : kFew;
      program.block(q, row * kPanel, rows * kPanel, storage.sums + (row - first) * kPanel);
    }
  };
  any_product(call, kRows, end, after);
}

}  // namespace nacre::NACRE_ISA_NAMESPACE
