// What a kernel is: a function of operands and a flat list of integers. What the integers mean is written beside each
// kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nacre {

// How the members of a team share a step.
//   alone   the first does it
//   rows    by rows of the batch: member p makes, and of what is laid out by rows only reads, rows
//           rows * p / parts .. rows * (p + 1) / parts - 1, so that no member need wait for another
//   turned  the same, in steps whose batch runs along panels; only where each member gets whole panels
//   free    as the kernel likes
enum class Sharing : int32_t { alone, rows, turned, free };

// Some rows of a column of the data.
struct Rows {
  const uint8_t* data;
  const int64_t* order;
};

struct Call {
  void* const* operands;  // the inputs, then the outputs
  const int64_t* args;
  int part = 0, parts = 1;  // which share of the result to make; how a result is shared out never changes a bit of it
  Sharing sharing = Sharing::free;
  int64_t rows = 0;  // of the batch

  // The share of `count` units of work.
  [[gnu::always_inline]] int64_t begin(int64_t count) const { return count * part / parts; }
  [[gnu::always_inline]] int64_t end(int64_t count) const { return count * (part + 1) / parts; }
};

using Kernel = void (*)(const Call&);

// Bytes that a kernel touches of each operand, from its integers; throws Error when the integers make no sense.
// A plan checks this against its buffers once, so that a kernel never needs to look.
using Extents = std::vector<size_t> (*)(const int64_t* args, size_t count);

}  // namespace nacre
