// How matrices lie in memory. A matrix (rows, columns) in panels is [panels][rows][kPanel], panel p holding columns
// 32 p .. 32 p + 31. What lies after the last column means nothing and reaches no result. Both operands and the result
// of a matrix product lie so, whichever instruction set works on them, and nothing is ever repacked between two steps.
#pragma once

#include <bit>
#include <cstdint>

namespace nacre {

constexpr int64_t kPanel = 32;

[[gnu::always_inline]] inline int64_t panels(int64_t columns) { return (columns + kPanel - 1) / kPanel; }

// How a matrix product is made, as bits of its fourth integer.
constexpr int64_t kTransposed = 1;  // the first factor lies there as its transpose
constexpr int64_t kBfloat16 = 2;    // both factors are rounded to bfloat16
constexpr int64_t kFromData = 4;    // the first factor, or its transpose, is a column of the data, as it lies
constexpr int64_t kOverData = 8;    // the second one is
constexpr int64_t kBytes = 16;      // of bytes, each times a float, whose bits are the upper half of that integer

[[gnu::always_inline]] inline float scale_of(int64_t how) {
  return std::bit_cast<float>(static_cast<uint32_t>(how >> 32));
}

// Columns of the data along which vectors run end with a whole piece of so many numbers: vectors leave no row.
constexpr int64_t kPiece = 16;

// A long chain over k can be cut into slices of whole panels, each with a sum of its own; these are its ends.
[[gnu::always_inline]] inline int64_t slice_begin(int64_t k, int64_t slice, int64_t slices) {
  const int64_t begin = panels(k) * slice / slices * kPanel;
  return begin < k ? begin : k;
}

}  // namespace nacre
