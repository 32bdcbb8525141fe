// `turn` on vectors; see kernels/reference/movement.cpp for the integers.
#include "kernels/call.h"
#include "kernels/panel.h"
#include "kernels/simd/vector.h"

namespace nacre::NACRE_ISA_NAMESPACE {

namespace {

NACRE_INLINE F lanes_at(const float* from) { return load<F>(from); }
NACRE_INLINE F lanes_at(const uint8_t* from) { return (F)widen_bytes(from); }
NACRE_INLINE void put(float* to, F lanes) { store(to, lanes); }
NACRE_INLINE void put(uint8_t* to, F lanes) { narrow_to_bytes(to, (U)lanes); }

// `height` rows of `width` numbers of a 32 x 32 block into its transpose, filled up with zeros.
template <typename Item>
NACRE_INLINE void turn_block(const Item* from, Item* to, int64_t height, int64_t width) {
  for (int64_t i = 0; i < kPanel; i += kLanes)
    for (int64_t j = 0; j < width; j += kLanes) {
      F rows[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) rows[r] = i + r < height ? lanes_at(from + (i + r) * kPanel + j) : F{};
      transpose<kLanes / 2>(rows);
#pragma GCC unroll 16
      for (int c = 0; c < kLanes; ++c)
        if (j + c < width) put(to + (j + c) * kPanel + i, rows[c]);
    }
}

template <typename Item>
NACRE_INLINE void turn_share(const Call& call) {
  const int64_t rows = call.args[1], columns = call.args[2];
  const auto* x = static_cast<const Item*>(call.operands[0]);
  auto* y = static_cast<Item*>(call.operands[1]);
  const int64_t down = panels(rows), across = panels(columns);
  // Blocks are counted along the other axis first, so that a member's share is whole panels of the batch.
  const bool by_rows = call.args[3] == 0;
  const int64_t inner = by_rows ? across : down, last = call.end(down * across);
  for (int64_t block = call.begin(down * across); block < last; ++block) {
    const int64_t r = (by_rows ? block / inner : block % inner) * kPanel;
    const int64_t c = (by_rows ? block % inner : block / inner) * kPanel;
    const int64_t height = rows - r < kPanel ? rows - r : kPanel, width = columns - c < kPanel ? columns - c : kPanel;
    const Item* from = x + (c / kPanel * rows + r) * kPanel;
    Item* to = y + (r / kPanel * columns + c) * kPanel;
    if (height == kPanel && width == kPanel)
      turn_block(from, to, kPanel, kPanel);
    else
      turn_block(from, to, height, width);
  }
}

}  // namespace

void turn(const Call& call) { call.args[0] == 1 ? turn_share<uint8_t>(call) : turn_share<float>(call); }

}  // namespace nacre::NACRE_ISA_NAMESPACE
