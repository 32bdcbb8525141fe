// Sums and extremes; args = { outer, n, inner }: x (outer, n, inner) -> y (outer, inner).
// `reduce_products` sums products of the elements of two arrays, each of them rounded: x, z (outer, n, inner) -> y.
//
// The order of a sum is part of its meaning, so that any vector width and any number of threads gives the same bits:
//   inner == 1: chunks of kChunk elements; in a chunk, element e is added to lane e % 16, and the 16 lanes are added as
//   a tree
//               (8, 4, 2, 1); the chunks are added one after the other.
//   inner >  1: chunks of kRows rows; the rows of a chunk one after the other, then the chunks one after the other.
#pragma once

#include <cstdint>

namespace nacre {

constexpr int64_t kLanesOfSum = 16;
constexpr int64_t kChunk = 4096;
constexpr int64_t kRows = 64;

[[gnu::always_inline]] inline float add_lanes(float* lanes) {
  for (int64_t half = kLanesOfSum / 2; half; half /= 2)
    for (int64_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

}  // namespace nacre
