// matmul on vectors; see kernels/reference/matmul.cpp for the integers and kernels/panel.h for the layout.
//
// Vectors run along the columns of C, so each element is one chain of fused multiply-adds over k in order, whatever the
// width of the vectors, the tile or the edge. A tile is kTile rows of C by one panel: 16 chains on AVX-512, enough for
// two ports with a latency of four. Panels make all strides constants, and kTile divides the panel, so that a tile of
// the transposed operand never crosses one.
#include "kernels/call.h"
#include "kernels/panel.h"
#include "kernels/simd/program.h"
#include "kernels/simd/vector.h"

namespace nacre::NACRE_ISA_NAMESPACE {

namespace {

constexpr int kTile = kLanes == 16 ? 8 : 4;
// Columns that a tile works on at once. Narrower vectors take a panel in several strips: the registers hold no more.
constexpr int kStrip = kLanes == 16 ? 32 : 2 * kLanes;
constexpr int kVectors = kStrip / kLanes;
// Rows of B that stay in the first cache while the tiles below one another use them: 20 KB. The chain goes on from the
// stored C.
constexpr int64_t kBlock = 160;

// `count` multiply-adds for each of Rows x kVectors chains. Element (i, p) of A is at a[i * Row + p * Column].
template <int Rows, int Row, int Column, int Vectors>
NACRE_INLINE void chain(const float* a, const float* b, int64_t count, F (&sum)[Rows][Vectors]) {
  for (int64_t p = 0; p < count; ++p) {
    F x[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) x[v] = load<F>(b + p * kPanel + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const F factor = all(a[i * Row + p * Column]);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[i][v] = fma(factor, x[v], sum[i][v]);
    }
  }
}

// Rows p0 .. p1 - 1 of B into a tile of C.
template <int Rows, bool Transposed, int Vectors>
void tile(const float* a, int64_t a_panel, const float* b, float* c, int64_t p0, int64_t p1) {
  F sum[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) sum[i][v] = p0 ? load<F>(c + i * kPanel + v * kLanes) : all(0.0f);
  if constexpr (Transposed) {
    chain<Rows, 1, kPanel>(a + p0 * kPanel, b + p0 * kPanel, p1 - p0, sum);
  } else {
    for (int64_t p = p0; p < p1;) {
      const int64_t left = kPanel - p % kPanel, count = left < p1 - p ? left : p1 - p;
      chain<Rows, kPanel, 1>(a + p / kPanel * a_panel + p % kPanel, b + p * kPanel, count, sum);
      p += count;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) store(c + i * kPanel + v * kLanes, sum[i][v]);
}

using Tile = void (*)(const float*, int64_t, const float*, float*, int64_t, int64_t);

template <bool Transposed, int Vectors>
constexpr Tile kTiles[] = {
    nullptr,
    tile<1, Transposed, Vectors>,
    tile<2, Transposed, Vectors>,
    tile<3, Transposed, Vectors>,
    tile<4, Transposed, Vectors>,
#if defined(__AVX512F__)
    tile<5, Transposed, Vectors>,
    tile<6, Transposed, Vectors>,
    tile<7, Transposed, Vectors>,
    tile<8, Transposed, Vectors>,
#endif
};

// Rows row0 .. row1 - 1 of a panel of C, of which `columns` are in use, written to `c` from its first row on.
template <bool Transposed>
void rows_of_panel(const float* a, const float* b, float* c, int64_t m, int64_t k, int64_t row0, int64_t row1,
                   int64_t columns) {
  // Columns beyond the last are not computed. They mean nothing, but they must not be numbers that slow the next kernel
  // down.
  if (columns < kPanel) __builtin_memset(c, 0, (row1 - row0) * kPanel * sizeof(float));
  for (int strip = 0; strip < columns; strip += kStrip) {
    const bool narrow = columns - strip <= kLanes;  // one vector does for the last few columns
    const Tile* tiles = narrow ? kTiles<Transposed, 1> : kTiles<Transposed, kVectors>;
    for (int64_t p = 0; p < k || p == 0; p += kBlock) {
      const int64_t end = p + kBlock < k ? p + kBlock : k;
      for (int64_t i = row0; i < row1; i += kTile) {
        const int64_t rows = row1 - i < kTile ? row1 - i : kTile;
        const float* from = Transposed ? a + i / kPanel * k * kPanel + i % kPanel : a + i * kPanel;
        tiles[rows](from, m * kPanel, b + strip, c + (i - row0) * kPanel + strip, p, end);
      }
    }
  }
}

// This call's share of C: by rows, or by panels when there are too few rows.
struct Share {
  int64_t row0, row1, panel0, panel1;

  explicit Share(const Call& call) {
    const int64_t m = call.args[0], n = call.args[2], groups = (m + kShared - 1) / kShared;
    const bool by_rows = groups >= 4 * call.parts || panels(n) < call.parts;
    row0 = by_rows ? call.begin(groups) * kShared : 0;
    row1 = by_rows ? call.end(groups) * kShared : m;
    if (row1 > m) row1 = m;
    panel0 = by_rows ? 0 : call.begin(panels(n));
    panel1 = by_rows ? panels(n) : call.end(panels(n));
  }

  // Rows that one member takes together: they are one block of lanes.
  static constexpr int64_t kShared = kLanesOfBlock / kPanel;
};

NACRE_INLINE int64_t columns_of(int64_t panel, int64_t n) {
  return n - panel * kPanel < kPanel ? n - panel * kPanel : kPanel;
}

}  // namespace

void matmul(const Call& call) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2];
  const auto* a = static_cast<const float*>(call.operands[0]);
  const auto* b = static_cast<const float*>(call.operands[1]);
  auto* c = static_cast<float*>(call.operands[2]);
  const auto run = call.args[3] ? rows_of_panel<true> : rows_of_panel<false>;
  const Share share(call);
  for (int64_t q = share.panel0; q < share.panel1; ++q)
    run(a, b + q * k * kPanel, c + (q * m + share.row0) * kPanel, m, k, share.row0, share.row1, columns_of(q, n));
}

// The product is made in pieces that stay in the first cache until the program has run over them.
void matmul_map(const Call& call) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2];
  const auto* a = static_cast<const float*>(call.operands[0]);
  const auto* b = static_cast<const float*>(call.operands[1]);
  constexpr int64_t kRows = 128, kFew = Share::kShared;
  alignas(64) static thread_local float product[kRows * kPanel];
  const auto run = call.args[3] ? rows_of_panel<true> : rows_of_panel<false>;
  Running program(call.args + 4, call.operands + 2);
  const int64_t step = k > kBlock ? kRows : kFew;
  const Share share(call);
  for (int64_t q = share.panel0; q < share.panel1; ++q)
    for (int64_t row = share.row0; row < share.row1; row += step) {
      const int64_t end = row + step < share.row1 ? row + step : share.row1;
      run(a, b + q * k * kPanel, product, m, k, row, end, columns_of(q, n));
      for (int64_t i = row; i < end; i += kFew) {
        const int64_t rows = end - i < kFew ? end - i : kFew;
        program.block(q, i * kPanel, rows * kPanel, product + (i - row) * kPanel);
      }
    }
}

}  // namespace nacre::NACRE_ISA_NAMESPACE
