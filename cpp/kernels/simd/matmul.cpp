// Matrix products on vectors; see kernels/reference/matmul.cpp for the integers and kernels/panel.h for the layout.
//
// Vectors run along the columns of C, so each element is one chain of fused multiply-adds over k in order, whatever the
// width of the vectors, the tile or the edge. A tile is up to kTile rows of C by one panel, held in registers from the
// first multiply-add to what the kernel does last with the sums: store them, add the bias, update a weight.
//
// In bfloat16, both factors are rounded into copies, a block at a time, that lie as the same tiles read them: in panels
// of 32 words, a word being the two numbers that one instruction multiplies and adds, the second one first. Without
// such an instruction, a word is a number in float32, and the order of the words does the rest.
#include <array>
#include <utility>

#include "kernels/call.h"
#include "kernels/denormals.h"
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

// What a word of the factors is.
enum class Word { number, pair };

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

// Word (i, p) of A is at a[p * 32 + i].
template <Word W, int Rows, int Vectors>
NACRE_INLINE void chain_transposed(const float* a, const float* b, int64_t length, Ahead& ahead,
                                   Sums<Rows, Vectors>& sum) {
  for (int64_t first = 0; first < length; first += kPanel) {
    const int64_t last = length - first < kPanel ? length : first + kPanel;
    const Ahead::Piece piece = ahead.take(last - first, b);
    for (int64_t p = first; p < last; ++p) {
      prefetch(a + (p + 8) * kPanel);
      piece.fetch(p - first);
      F x[Vectors];
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) x[v] = load<F>(b + p * kPanel + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const F factor = all(a[p * kPanel + i]);
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) sum[i][v] = multiply_add<W>(factor, x[v], sum[i][v]);
      }
    }
  }
}

// What becomes of the sums of a tile; `at` is its first element within a panel of C. What it reads is fetched before.
struct Stored {
  float* c;
  int64_t first = 0;  // row of C that `c` begins with

  [[gnu::always_inline]] const float* reads(int64_t) const { return nullptr; }

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

  [[gnu::always_inline]] const float* reads(int64_t) const { return nullptr; }

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

  [[gnu::always_inline]] const float* reads(int64_t at) const { return mask + at; }

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

  [[gnu::always_inline]] const float* reads(int64_t at) const { return w + at; }

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

// The same for sums of the transpose: of units `row` on, over features from `first` on.
struct UpdatedTurned {
  float* c;
  const float* w;
  float rate;
  int64_t features;  // that there are, from the first of these panels on

  [[gnu::always_inline]] const float* reads(int64_t) const { return nullptr; }

  template <int Rows, int Vectors>
  [[gnu::always_inline]] void operator()(int64_t at, int strip, const Sums<Rows, Vectors>& sum) const {
    const F step = all(rate);
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      F turned[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) turned[i] = i < Rows ? sum[i < Rows ? i : 0][v] : F{};
      transpose<kLanes / 2>(turned);
#pragma GCC unroll 16
      for (int l = 0; l < kLanes; ++l) {
        const int64_t feature = strip + v * kLanes + l;
        if (feature >= features) break;
        const int64_t place = feature * kPanel + at / kPanel;
        const F moved = load<F>(w + place) - step * turned[l];
        __builtin_memcpy(c + place, &moved, Rows * sizeof(float));
      }
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
  Ahead* ahead;  // a line of it is fetched with each step
};

template <bool Transposed, Word W, int Rows, int Vectors, typename End>
void tile(const Job& job, int64_t row, int strip, const End& end) {
  Sums<Rows, Vectors> sum;
  const Stored keep{job.kept + (row - job.kept_first) * kPanel + strip};
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) sum[i][v] = job.begins ? all(0.0f) : load<F>(keep.c + i * kPanel + v * kLanes);
  const int64_t at = row - job.first;
  if (const float* soon = end.reads(row * kPanel + strip))
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
      for (int l = 0; l < Vectors * kLanes; l += 16) prefetch(soon + i * kPanel + l);
  if constexpr (Transposed)
    chain_transposed<W, Rows, Vectors>(job.a + at / kPanel * job.a_panel + at % kPanel, job.b + strip, job.length,
                                       *job.ahead, sum);
  else
    chain_plain<W, Rows, Vectors>(job.a + at * kPanel, job.a_panel, job.b + strip, job.length, *job.ahead, sum);
  if (job.ends)
    end.template operator()<Rows, Vectors>(row * kPanel + strip, strip, sum);
  else
    keep.template operator()<Rows, Vectors>(0, strip, sum);
}

template <typename End>
using Tile = void (*)(const Job&, int64_t, int, const End&);

template <bool Transposed, Word W, int Vectors, typename End, size_t... Rows>
constexpr auto tiles_of(std::index_sequence<Rows...>) {
  return std::array<Tile<End>, sizeof...(Rows)>{tile<Transposed, W, Rows + 1, Vectors, End>...};
}

// Rows row .. last - 1 of the block, in tiles of about the same height.
template <bool Transposed, Word W, typename End>
NACRE_INLINE void rows_of_block(const Job& job, int64_t first, int64_t last, int64_t columns, const End& end) {
  static constexpr auto kWide = tiles_of<Transposed, W, kVectors, End>(std::make_index_sequence<kTile>());
  static constexpr auto kNarrow = tiles_of<Transposed, W, 1, End>(std::make_index_sequence<kTile>());
  for (int strip = 0; strip < columns; strip += kStrip) {
    const auto& tiles = columns - strip <= kLanes ? kNarrow : kWide;  // one vector does for the last few columns
    for (int64_t row = first; row < last;) {
      // A transposed operand lies in panels too, which a tile must not leave.
      const int64_t edge = (row / kPanel + 1) * kPanel, end_of_run = Transposed && edge < last ? edge : last;
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
};

thread_local Storage storage;

// The factors of C, and the chains: over columns begin .. end - 1 of A. A is (m, k), or where it is transposed (k, m).
struct Factors {
  const float *a, *b;
  int64_t m, k, begin, end;
};

// The block of B that comes after p .. stop - 1 of a panel.
NACRE_INLINE Ahead next_of(const Factors& of, int64_t panel, int64_t p, int64_t stop) {
  const bool more = stop < of.end;
  const float* next = of.b + ((panel + !more) * of.k + (more ? stop : of.begin)) * kPanel;
  const int64_t bytes = (stop - p) * kPanel * 4;
  return {reinterpret_cast<const uint8_t*>(next), nullptr, 1, bytes, 0, bytes};
}

// Rows first .. last - 1 of a panel of C, at most kRows of them if the chains are longer than a block.
template <bool Transposed, typename End>
NACRE_INLINE void in_place(const Factors& of, int64_t panel, int64_t first, int64_t last, int64_t columns, Ahead& ahead,
                           const End& end) {
  for (int64_t p = of.begin; p < of.end || p == of.begin; p += kBlock) {
    const int64_t stop = p + kBlock < of.end ? p + kBlock : of.end;
    Ahead next = next_of(of, panel, p, stop);
    const Job job{Transposed ? of.a + p * kPanel : of.a + p * of.m,
                  of.b + (panel * of.k + p) * kPanel,
                  0,
                  Transposed ? of.k * kPanel : of.m * kPanel,
                  stop - p,
                  p == of.begin,
                  stop == of.end,
                  storage.sums,
                  first,
                  ahead.row < ahead.rows ? &ahead : &next};
    rows_of_block<Transposed, Word::number>(job, first, last, columns, end);
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
      I inside = {}, neighbor = {};
      for (int l = 0; l < kLanes; ++l) {
        inside[l] = p + c + l < stop ? -1 : 0;
        neighbor[l] = l ^ 1;
      }
      for (int64_t i = 0; i < count; ++i) {
        const F x = choose(inside, to_bfloat16(load<F>(from + i * kPanel + c)), all(0.0f));
        store(to + i * kPanel + c, __builtin_shuffle(x, neighbor));
      }
#endif
    }
  }
}

// The same in bfloat16. Of A, what was rounded before is used again.
template <bool Transposed, typename End>
NACRE_INLINE void rounded(const Factors& of, int64_t panel, int64_t first, int64_t last, int64_t columns, bool again,
                          const End& end) {
  for (int64_t p = of.begin; p < of.end || p == of.begin; p += kBlock) {
    const int64_t stop = p + kBlock < of.end ? p + kBlock : of.end, words = (stop - p + 1) / 2 * kWords;
    if (!again || of.end - of.begin > kBlock) {
      if constexpr (Transposed)
        for (int64_t row = first; row < last; row += kPanel)
          pair_rows(of.a + row / kPanel * of.k * kPanel, p, stop, copies.a + (row - first) / kPanel * words * kPanel);
      else
        pair_columns(of.a + first * kPanel, of.m * kPanel, last - first, p, stop, copies.a);
    }
    pair_rows(of.b + panel * of.k * kPanel, p, stop, copies.b);
    Ahead ahead = next_of(of, panel, p, stop);
    const Job job{copies.a, copies.b,      first,          Transposed ? words * kPanel : (last - first) * kPanel,
                  words,    p == of.begin, stop == of.end, storage.sums,
                  first,    &ahead};
    rows_of_block<Transposed, kRounded>(job, first, last, columns, end);
  }
}

// Rows of A of which a block has room in its copy, whose panels are as wide as ever: whole panels.
NACRE_INLINE int64_t rows_rounded(int64_t length) {
  constexpr int64_t kColumns = kPanel * 2 / kWords;
  const int64_t block = length < kBlock ? (length + kColumns - 1) / kColumns * kColumns : kBlock;
  return block ? kRows * kBlock / block / kPanel * kPanel : kRows;
}

// Each piece of the share: `make_end(panel)` tells what becomes of its sums, `after(panel, first, last)` is called when
// it is made.
template <bool Transposed, typename MakeEnd, typename After>
NACRE_INLINE void product(const Call& call, int64_t piece, const MakeEnd& make_end, const After& after) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2];
  const Factors of{
      static_cast<const float*>(call.operands[0]), static_cast<const float*>(call.operands[1]), m, k, 0, k};
  const Share share(call);
  const NoDenormals guard(call.args[3] & kBfloat16);
  if (call.args[3] & kBfloat16) {
    const int64_t room = rows_rounded(k), height = piece < room ? piece : room;
    for (int64_t row = share.row0; row < share.row1; row += height)
      for (int64_t q = share.panel0; q < share.panel1; ++q) {
        const int64_t last = row + height < share.row1 ? row + height : share.row1;
        rounded<Transposed>(of, q, row, last, columns_of(q, n), q != share.panel0, make_end(q, row));
        after(q, row, last);
      }
    return;
  }
  for (int64_t q = share.panel0; q < share.panel1; ++q)
    for (int64_t row = share.row0; row < share.row1; row += piece) {
      const int64_t last = row + piece < share.row1 ? row + piece : share.row1;
      in_place<Transposed>(of, q, row, last, columns_of(q, n), ahead_of(call), make_end(q, row));
      after(q, row, last);
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
  const auto make = call.args[3] & kTransposed ? product<true, decltype(end), decltype(after)>
                                               : product<false, decltype(end), decltype(after)>;
  make(call, piece_of(call), end, after);
}

// By slices, each thread keeps its part of the weights, and of what it gathered, in its own cache.
void matmul_slices(const Call& call) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2], slices = call.args[4];
  const NoDenormals guard(call.args[3] & kBfloat16);
  for (int64_t s = call.begin(slices); s < call.end(slices); ++s) {
    const Factors of{static_cast<const float*>(call.operands[0]),
                     static_cast<const float*>(call.operands[1]),
                     m,
                     k,
                     slice_begin(k, s, slices),
                     slice_begin(k, s + 1, slices)};
    auto* c = static_cast<float*>(call.operands[2 + s]);
    const int64_t length = of.end - of.begin, room = rows_rounded(length);
    const int64_t piece = length > kBlock ? kRows : call.args[3] & kBfloat16 && room < m ? room : m;
    for (int64_t row = 0; row < m; row += piece) {
      const int64_t last = row + piece < m ? row + piece : m;
      if (call.args[3] & kBfloat16)
        rounded<false>(of, 0, row, last, n, false, Stored{c});
      else
        in_place<false>(of, 0, row, last, n, ahead_of(call), Stored{c});
    }
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

// Whether the transpose of a gradient is made, because vectors along its columns would be filled by three quarters at
// most, and the chains are long enough to be worth turning their sums. Each element is the same chain.
NACRE_INLINE bool is_narrow(int64_t k, int64_t n) {
  const int64_t width = n <= kLanes ? kLanes : (n + kStrip - 1) / kStrip * kStrip;
  return n <= kPanel && n * 4 <= width * 3 && k >= 2 * kPanel;
}

void matmul_update(const Call& call) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2];
  const float rate = *static_cast<const float*>(call.operands[2]);
  const auto* w = static_cast<const float*>(call.operands[3]);
  auto* c = static_cast<float*>(call.operands[4]);
  if (is_narrow(k, n) && !(call.args[3] & kBfloat16)) {
    const Factors of{
        static_cast<const float*>(call.operands[1]), static_cast<const float*>(call.operands[0]), n, k, 0, k};
    for (int64_t q = call.begin(panels(m)); q < call.end(panels(m)); ++q) {
      const int64_t first = q * kPanel, features = columns_of(q, m);
      const UpdatedTurned end{c + first * kPanel, w + first * kPanel, rate, features};
      in_place<true>(of, q, 0, n, features, ahead_of(call), end);
    }
    return;
  }
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
  const auto make = call.args[3] & kTransposed ? product<true, decltype(end), decltype(after)>
                                               : product<false, decltype(end), decltype(after)>;
  make(call, kRows, end, after);
}

}  // namespace nacre::NACRE_ISA_NAMESPACE
