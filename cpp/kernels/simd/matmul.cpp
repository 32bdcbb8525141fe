// matmul on vectors. The vectors run along the columns of C, so each element is one chain of fused multiply-adds over k
// in order, whatever the width, the tile or the edge; see kernels/reference/matmul.cpp for the integers.
//
// A tile is kTile rows of A by two vectors of B: enough chains to keep both multiply-add ports busy, few enough for the
// registers.
#include "base/memory.h"
#include "kernels/call.h"
#include "kernels/simd/vector.h"

namespace nacre::NACRE_ISA_NAMESPACE {

namespace {

constexpr int64_t kPanel = 2 * kLanes;
#if defined(__AVX512F__)
constexpr int64_t kTile = 12;
#else
constexpr int64_t kTile = 6;
#endif

// A transposed or not: element (i, p) is at i * row + p * column.
struct Left {
  const float* data;
  int64_t row, column;
};

// One tile: Rows rows of C over one panel of B, whose row p begins at p * stride. The last columns are masked by
// copying.
template <int Rows>
void tile(const Left& a, const float* b, int64_t stride, int64_t k, float* c, int64_t n, int64_t columns) {
  F sum[Rows][2] = {};
  for (int64_t p = 0; p < k; ++p) {
    const F b0 = load<F>(b + p * stride), b1 = load<F>(b + p * stride + kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const F x = all(a.data[i * a.row + p * a.column]);
      sum[i][0] = fma(x, b0, sum[i][0]);
      sum[i][1] = fma(x, b1, sum[i][1]);
    }
  }
  for (int i = 0; i < Rows; ++i) {
    if (columns == kPanel) {
      store(c + i * n, sum[i][0]);
      store(c + i * n + kLanes, sum[i][1]);
    } else {
      float edge[kPanel];
      store(edge, sum[i][0]);
      store(edge + kLanes, sum[i][1]);
      __builtin_memcpy(c + i * n, edge, columns * sizeof(float));
    }
  }
}

using Tile = void (*)(const Left&, const float*, int64_t, int64_t, float*, int64_t, int64_t);
constexpr Tile kTiles[] = {nullptr, tile<1>, tile<2>, tile<3>,  tile<4>,  tile<5>, tile<6>,
#if defined(__AVX512F__)
                           tile<7>, tile<8>, tile<9>, tile<10>, tile<11>, tile<12>
#endif
};

// Columns first .. first + columns - 1 of B as a panel of k rows, zeros after the last column.
void pack(float* panel, const float* b, bool transposed, int64_t k, int64_t n, int64_t first, int64_t columns) {
  if (columns < kPanel) __builtin_memset(panel, 0, k * kPanel * sizeof(float));
  if (!transposed) {
    for (int64_t p = 0; p < k; ++p) __builtin_memcpy(panel + p * kPanel, b + p * n + first, columns * sizeof(float));
  } else {
    constexpr int64_t kStrip =
        16;  // rows of the panel written before the next column is read: lines of both stay in cache
    for (int64_t begin = 0; begin < k; begin += kStrip)
      for (int64_t j = 0; j < columns; ++j)
        for (int64_t p = begin; p < k && p < begin + kStrip; ++p) panel[p * kPanel + j] = b[(first + j) * k + p];
  }
}

}  // namespace

void matmul(const Call& call) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2];
  const bool ta = call.args[3], tb = call.args[4];
  const auto* b = static_cast<const float*>(call.operands[1]);
  auto* c = static_cast<float*>(call.operands[2]);
  static thread_local AlignedBlock scratch;
  static thread_local size_t scratch_bytes = 0;
  const size_t needed = static_cast<size_t>(k * kPanel) * sizeof(float);
  if (needed > scratch_bytes) {
    scratch = allocate(needed);
    scratch_bytes = needed;
  }
  auto* panel = reinterpret_cast<float*>(scratch.get());
  // Shared out by rows of C, or by panels when there are too few rows.
  const int64_t panels = (n + kPanel - 1) / kPanel, tiles = (m + kTile - 1) / kTile;
  const bool by_rows = tiles >= call.parts;
  const int64_t row0 = by_rows ? call.begin(tiles) * kTile : 0, row1 = by_rows ? call.end(tiles) * kTile : m;
  const int64_t panel0 = by_rows ? 0 : call.begin(panels), panel1 = by_rows ? panels : call.end(panels);
  for (int64_t first = panel0 * kPanel; first < panel1 * kPanel && row0 < row1; first += kPanel) {
    const int64_t columns = n - first < kPanel ? n - first : kPanel;
    const bool packed = tb || columns < kPanel;
    if (packed) pack(panel, b, tb, k, n, first, columns);
    const float* from = packed ? panel : b + first;
    for (int64_t i = row0; i < row1 && i < m; i += kTile) {
      const int64_t rows = m - i < kTile ? m - i : kTile;
      const Left a = {static_cast<const float*>(call.operands[0]) + (ta ? i : i * k), ta ? 1 : k, ta ? m : 1};
      kTiles[rows](a, from, packed ? kPanel : n, k, c + i * n + first, n, columns);
    }
  }
}

}  // namespace nacre::NACRE_ISA_NAMESPACE
