// Matrix products on vectors; see kernels/reference/matmul.cpp for the integers and kernels/panel.h for the layout.
//
// Vectors run along the columns of C, so each element is one chain of fused multiply-adds over k in order, whatever the
// width of the vectors, the tile or the edge. A tile is up to kTile rows of C by one panel, held in registers from the
// first multiply-add to what the kernel does last with the sums: store them, add the bias, update a weight.
#include <array>
#include <utility>

#include "kernels/call.h"
#include "kernels/panel.h"
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

template <int Rows, int Vectors>
using Sums = F[Rows][Vectors];

NACRE_INLINE void prefetch(const float* from) { __builtin_prefetch(from); }

// Chains go on over p0 .. p1 - 1. Element (i, p) of A is at a[p / 32 * a_panel + i * 32 + p % 32]. The rows of the
// tile in the next panel of A are one piece of memory: a line of it is fetched with each step.
template <int Rows, int Vectors>
NACRE_INLINE void chain_plain(const float* a, int64_t a_panel, const float* b, int64_t p0, int64_t p1,
                              Sums<Rows, Vectors>& sum) {
  for (int64_t p = p0; p < p1;) {
    const int64_t first = p % kPanel, left = kPanel - first, count = left < p1 - p ? left : p1 - p;
    const float* from = a + p / kPanel * a_panel + first;
    const float* next = a + (p / kPanel + 1) * a_panel;
    const float* rows = b + p * kPanel;
    for (int64_t q = 0; q < count; ++q) {
      prefetch(next + q * 16);
      F x[Vectors];
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) x[v] = load<F>(rows + q * kPanel + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const F factor = all(from[i * kPanel + q]);
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) sum[i][v] = fma(factor, x[v], sum[i][v]);
      }
    }
    p += count;
  }
}

// Element (i, p) of A is at a[p * 32 + i].
template <int Rows, int Vectors>
NACRE_INLINE void chain_transposed(const float* a, const float* b, int64_t p0, int64_t p1, Sums<Rows, Vectors>& sum) {
  for (int64_t p = p0; p < p1; ++p) {
    prefetch(a + (p + 8) * kPanel);
    F x[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) x[v] = load<F>(b + p * kPanel + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const F factor = all(a[p * kPanel + i]);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[i][v] = fma(factor, x[v], sum[i][v]);
    }
  }
}

// What becomes of the sums of a tile; `at` is its first element within a panel of C.
struct Stored {
  float* c;
  int64_t first = 0;  // row of C that `c` begins with

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void operator()(int64_t at, int, const Sums<Rows, Vectors>& sum) const {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) store(c + at + (i - first) * kPanel + v * kLanes, sum[i][v]);
  }
};

struct Biased {
  float* c;
  const float* bias;
  float least;  // 0 for relu, else minus infinity

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

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void operator()(int64_t at, int, const Sums<Rows, Vectors>& sum) const {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) {
        const int64_t place = at + i * kPanel + v * kLanes;
        store(c + place, choose(load<F>(mask + place) > 0.0f, sum[i][v], all(0.0f)));
      }
  }
};

struct Updated {
  float* c;
  const float* w;
  float rate;

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void operator()(int64_t at, int, const Sums<Rows, Vectors>& sum) const {
    const F step = all(-rate);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) {
        const int64_t place = at + i * kPanel + v * kLanes;
        store(c + place, fma(step, sum[i][v], load<F>(w + place)));
      }
  }
};

// A panel of a product: `rows` of C, from row `first` on.
struct Job {
  const float *a, *b;
  int64_t m, k;
  float* kept;  // the sums of these rows between two blocks of a long chain
};

template <bool Transposed, int Rows, int Vectors, typename End>
void tile(const Job& job, int64_t row, int64_t first, int strip, int64_t p0, int64_t p1, const End& end) {
  Sums<Rows, Vectors> sum;
  const Stored keep{job.kept + (row - first) * kPanel + strip};
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) sum[i][v] = p0 ? load<F>(keep.c + i * kPanel + v * kLanes) : all(0.0f);
  if constexpr (Transposed)
    chain_transposed<Rows, Vectors>(job.a + row / kPanel * job.k * kPanel + row % kPanel, job.b + strip, p0, p1, sum);
  else
    chain_plain<Rows, Vectors>(job.a + row * kPanel, job.m * kPanel, job.b + strip, p0, p1, sum);
  if (p1 < job.k)
    keep.template operator()<Rows, Vectors>(0, strip, sum);
  else
    end.template operator()<Rows, Vectors>(row * kPanel + strip, strip, sum);
}

template <typename End>
using Tile = void (*)(const Job&, int64_t, int64_t, int, int64_t, int64_t, const End&);

template <bool Transposed, int Vectors, typename End, size_t... Rows>
constexpr auto tiles_of(std::index_sequence<Rows...>) {
  return std::array<Tile<End>, sizeof...(Rows)>{tile<Transposed, Rows + 1, Vectors, End>...};
}

// Rows first .. last - 1, at most kRows of them if k is more than a block, in tiles of about the same height.
template <bool Transposed, typename End>
NACRE_INLINE void rows_of_panel(const Job& job, int64_t first, int64_t last, int64_t columns, const End& end) {
  static constexpr auto kWide = tiles_of<Transposed, kVectors, End>(std::make_index_sequence<kTile>());
  static constexpr auto kNarrow = tiles_of<Transposed, 1, End>(std::make_index_sequence<kTile>());
  for (int strip = 0; strip < columns; strip += kStrip) {
    const auto& tiles = columns - strip <= kLanes ? kNarrow : kWide;  // one vector does for the last few columns
    for (int64_t p = 0; p < job.k || p == 0; p += kBlock) {
      const int64_t stop = p + kBlock < job.k ? p + kBlock : job.k;
      for (int64_t row = first; row < last;) {
        // A transposed operand lies in panels too, which a tile must not leave.
        const int64_t edge = (row / kPanel + 1) * kPanel, end_of_run = Transposed && edge < last ? edge : last;
        const int64_t left = end_of_run - row, tiles_left = (left + kTile - 1) / kTile;
        const int64_t height = (left + tiles_left - 1) / tiles_left;
        tiles[height - 1](job, row, first, strip, p, stop, end);
        row += height;
      }
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
    const bool transposed = call.args[3], even = count % call.parts == 0 || count >= 4 * call.parts;
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

struct Storage {
  alignas(64) float sums[kRows * kPanel];
};

thread_local Storage storage;

// Columns beyond the last strip are not computed. They mean nothing, but they must not be numbers that slow the next
// kernel down.
NACRE_INLINE void clear_the_rest(float* c, int64_t rows, int64_t columns) {
  const int64_t done = columns <= kLanes ? kLanes : (columns + kStrip - 1) / kStrip * kStrip;
  if (done >= kPanel) return;
  for (int64_t r = 0; r < rows; ++r) __builtin_memset(c + r * kPanel + done, 0, (kPanel - done) * sizeof(float));
}

// Each piece of the share: `make_end(panel)` tells what becomes of its sums, `after(panel, first, last)` is called when
// it is made.
template <bool Transposed, typename MakeEnd, typename After>
NACRE_INLINE void product(const Call& call, int64_t piece, const MakeEnd& make_end, const After& after) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2];
  const auto* a = static_cast<const float*>(call.operands[0]);
  const auto* b = static_cast<const float*>(call.operands[1]);
  const Share share(call);
  for (int64_t q = share.panel0; q < share.panel1; ++q) {
    const Job job{a, b + q * k * kPanel, m, k, storage.sums};
    for (int64_t row = share.row0; row < share.row1; row += piece) {
      const int64_t last = row + piece < share.row1 ? row + piece : share.row1;
      rows_of_panel<Transposed>(job, row, last, columns_of(q, n), make_end(q, row));
      after(q, row, last);
    }
  }
}

NACRE_INLINE int64_t piece_of(const Call& call) { return call.args[1] > kBlock ? kRows : INT64_MAX / 2; }

}  // namespace

void matmul(const Call& call) {
  const int64_t m = call.args[0], n = call.args[2];
  auto* c = static_cast<float*>(call.operands[2]);
  const auto end = [&](int64_t q, int64_t) { return Stored{c + q * m * kPanel}; };
  const auto after = [&](int64_t q, int64_t first, int64_t last) {
    clear_the_rest(c + (q * m + first) * kPanel, last - first, columns_of(q, n));
  };
  call.args[3] ? product<true>(call, piece_of(call), end, after) : product<false>(call, piece_of(call), end, after);
}

// By slices, each thread keeps its part of the weights, and of what it gathered, in its own cache.
void matmul_slices(const Call& call) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2], slices = call.args[4];
  for (int64_t s = call.begin(slices); s < call.end(slices); ++s) {
    const int64_t begin = slice_begin(k, s, slices), length = slice_begin(k, s + 1, slices) - begin;
    const int64_t piece = length > kBlock ? kRows : m;
    auto* c = static_cast<float*>(call.operands[2 + s]);
    const Job job{static_cast<const float*>(call.operands[0]) + begin * m,
                  static_cast<const float*>(call.operands[1]) + begin * kPanel, m, length, storage.sums};
    for (int64_t row = 0; row < m; row += piece)
      rows_of_panel<false>(job, row, row + piece < m ? row + piece : m, n, Stored{c});
    clear_the_rest(c, m, n);
  }
}

void matmul_bias(const Call& call) {
  const int64_t m = call.args[0], n = call.args[2];
  const auto* bias = static_cast<const float*>(call.operands[2]);
  auto* c = static_cast<float*>(call.operands[3]);
  const float least = call.args[4] ? 0.0f : -__builtin_inff();
  product<false>(
      call, piece_of(call), [&](int64_t q, int64_t) { return Biased{c + q * m * kPanel, bias + q * kPanel, least}; },
      [&](int64_t q, int64_t first, int64_t last) {
        clear_the_rest(c + (q * m + first) * kPanel, last - first, columns_of(q, n));
      });
}

void matmul_masked(const Call& call) {
  const int64_t m = call.args[0], n = call.args[2];
  const auto* mask = static_cast<const float*>(call.operands[2]);
  auto* c = static_cast<float*>(call.operands[3]);
  product<false>(
      call, piece_of(call), [&](int64_t q, int64_t) { return Masked{c + q * m * kPanel, mask + q * m * kPanel}; },
      [&](int64_t q, int64_t first, int64_t last) {
        clear_the_rest(c + (q * m + first) * kPanel, last - first, columns_of(q, n));
      });
}

void matmul_update(const Call& call) {
  const int64_t m = call.args[0];
  const float rate = *static_cast<const float*>(call.operands[2]);
  const auto* w = static_cast<const float*>(call.operands[3]);
  auto* c = static_cast<float*>(call.operands[4]);
  product<true>(
      call, piece_of(call), [&](int64_t q, int64_t) { return Updated{c + q * m * kPanel, w + q * m * kPanel, rate}; },
      [](int64_t, int64_t, int64_t) {});
}

// The product is made in pieces that stay in the first cache until the program has run over them.
void matmul_map(const Call& call) {
  Running program(call.args + 4, call.operands + 2);
  const int64_t n = call.args[2];
  const auto end = [](int64_t, int64_t row) { return Stored{storage.sums, row}; };
  const auto after = [&](int64_t q, int64_t first, int64_t last) {
    clear_the_rest(storage.sums, last - first, columns_of(q, n));
    constexpr int64_t kFew = kLanesOfBlock / kPanel;
    for (int64_t row = first; row < last; row += kFew) {
      const int64_t rows = last - row < kFew ? last - row : kFew;
      program.block(q, row * kPanel, rows * kPanel, storage.sums + (row - first) * kPanel);
    }
  };
  call.args[3] ? product<true>(call, kRows, end, after) : product<false>(call, kRows, end, after);
}

}  // namespace nacre::NACRE_ISA_NAMESPACE
