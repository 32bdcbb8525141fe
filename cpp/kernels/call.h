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
//   panels  by panels, equal parts of what it makes and reads that follow one another, 32 numbers of a vector each:
//           member p makes panels n * p / parts .. n * (p + 1) / parts - 1 of n, and of most operands reads only these
//   free    as the kernel likes
enum class Sharing : int32_t { alone, rows, turned, panels, free };

// Some rows of a column of the data.
struct Rows {
  const uint8_t* data;
  const int64_t* order;
};

// Memory that will soon be read: some bytes of each of these rows. Kernels that compute for long fetch it meanwhile:
// the early rows one by one, the others where this step reads its rows for the last time, each at the same place.
struct Ahead {
  const uint8_t* data = nullptr;
  const int64_t* order = nullptr;
  int64_t rows = 0, row_bytes = 0, begin = 0, end = 0;
  int64_t early = rows;         // at most so many
  int64_t row = 0, at = begin;  // how far the early rows are fetched

  struct Piece {
    const uint8_t* from;
    int64_t last;  // number of the last line

    [[gnu::always_inline]] void fetch(int64_t line) const {
      __builtin_prefetch(from + 64 * (line < last ? line : last), 0, 2);
    }
  };

  // The next lines, at most so many; some that are there already when none are left.
  [[gnu::always_inline]] Piece take(int64_t lines, const void* otherwise) {
    if (row == early) return {static_cast<const uint8_t*>(otherwise), 0};
    const uint8_t* from = data + (order ? order[row] : row) * row_bytes + at;
    const int64_t left = (end - at + 63) / 64;
    if (lines < left) {
      at += 64 * lines;
      return {from, lines - 1};
    }
    ++row;
    at = begin;
    return {from, left - 1};
  }

  // A line of a row that is not fetched early.
  [[gnu::always_inline]] void fetch_late(int64_t late, int64_t byte) const {
    if (late >= early && late < rows) __builtin_prefetch(data + order[late] * row_bytes + byte, 0, 2);
  }
};

struct Call {
  void* const* operands;  // the inputs, then the outputs
  const int64_t* args;
  int part = 0, parts = 1;  // which share of the result to make; how a result is shared out never changes a bit of it
  Sharing sharing = Sharing::free;
  int64_t rows = 0;  // of the batch
  Ahead* ahead = nullptr;

  // The share of `count` units of work.
  [[gnu::always_inline]] int64_t begin(int64_t count) const { return count * part / parts; }
  [[gnu::always_inline]] int64_t end(int64_t count) const { return count * (part + 1) / parts; }
};

using Kernel = void (*)(const Call&);

// Bytes that a kernel touches of each operand, from its integers; throws Error when the integers make no sense.
// A plan checks this against its buffers once, so that a kernel never needs to look.
using Extents = std::vector<size_t> (*)(const int64_t* args, size_t count);

}  // namespace nacre
