// A register program while it runs; see kernels/map.h. Interpreted once per block of lanes, so that its registers stay
// in the first cache.
#pragma once

#include <cstdint>

#include "kernels/map.h"
#include "kernels/simd/vector.h"

namespace nacre::NACRE_ISA_NAMESPACE {

constexpr int64_t kLanesOfBlock = 512;  // 2 KB a register

// A block of a panel.
struct Place {
  int64_t lanes;  // a multiple of 16
  int64_t first;  // element of the panel in lane 0
  int64_t panel;
};

struct Operands {
  void* result;
  const void *a, *b, *c;
  const Place* place;
  const MapProgram* program;
};

using Instruction = void (*)(const Operands&);

// By number, as in kernels.def.
extern const Instruction kInstructions[];

NACRE_INLINE uint32_t lane_of(const void* data, DType dtype, int64_t index) {
  if (dtype == DType::uint8) return static_cast<const uint8_t*>(data)[index];
  if (dtype == DType::bool8) return -static_cast<uint32_t>(static_cast<const uint8_t*>(data)[index] != 0);
  return static_cast<const uint32_t*>(data)[index];
}

// A few lanes; a call of memcpy, or the string instructions in its place, would take longer to begin.
NACRE_INLINE void copy_lanes(uint32_t* to, const uint32_t* from, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load<U>(from + i));
  for (; i < count; ++i) to[i] = from[i];
}

// `count` consecutive elements, widened to lanes.
NACRE_INLINE void widen(uint32_t* lanes, const void* data, DType dtype, int64_t index, int64_t count) {
  if (item_bytes(dtype) == 4) return copy_lanes(lanes, static_cast<const uint32_t*>(data) + index, count);
  const auto* bytes = static_cast<const uint8_t*>(data) + index;
  const bool truth = dtype == DType::bool8;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const U x = widen_bytes(bytes + i);
    store(lanes + i, truth ? (U)(x != 0) : x);
  }
  for (; i < count; ++i) lanes[i] = lane_of(bytes, dtype, i);
}

NACRE_INLINE void narrow(void* data, DType dtype, int64_t index, const uint32_t* lanes, int64_t count) {
  if (item_bytes(dtype) == 4) {
    auto* to = static_cast<uint32_t*>(data) + index;
    if (to != lanes) copy_lanes(to, lanes, count);
    return;
  }
  const uint32_t mask = dtype == DType::bool8 ? 1 : 255;
  auto* bytes = static_cast<uint8_t*>(data) + index;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) narrow_to_bytes(bytes + i, load<U>(lanes + i) & mask);
  for (; i < count; ++i) bytes[i] = static_cast<uint8_t>(lanes[i] & mask);
}

NACRE_INLINE void fill(uint32_t* lanes, uint32_t x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) lanes[i] = x;
}

struct Registers {
  alignas(64) uint32_t lanes[kMaxRegisters][kLanesOfBlock];
};

// The registers of Adam's rule, the one update of weights that has a loop of its own: what lies between its three
// results stays in the processor, where a program reads and writes the first cache at each of its seven instructions.
struct Adam {
  int64_t gradient, mean, mean_share, square, square_share, epsilon, rate, weight;
  int64_t new_mean, new_square, new_weight;
  uint64_t steps = 0;  // a bit for each instruction of the program that is part of it; 0: it has none

  explicit Adam(const MapProgram& program);
};

struct Running {
  Running(const int64_t* args, void* const* given);
  Running(const Running&) = delete;  // it holds addresses of its own parts

  // Elements first .. first + count - 1 of a panel, at most a block. `product` holds these elements of a matrix
  // product. Outputs are stored, or added to `sums`.
  void block(int64_t panel, int64_t first, int64_t count, const float* product);

  // Chunks first .. last - 1 of all panels, with their sums.
  void chunks(int64_t first, int64_t last);

  // Whether an instruction after the n-th one, or an output, reads what lies there.
  bool read_after(int64_t n, const void* there) const;

  // The new mean of the gradients, of their squares, and the new weights, in a block.
  void update(int64_t lanes) const;

  MapProgram program;
  Adam adam;
  uint32_t (*registers)[kLanesOfBlock];
  void* const* operands;            // the outputs
  const void* at[kMaxRegisters];    // where each register is now: not always in `registers`
  const void* data[kMaxRegisters];  // what each stored input reads
  const void* row[kMaxRegisters];  // of a short row that fills a block when it is repeated, whose register holds it now
  F sums[kMaxSums][kLanesOfSum / kLanes];

  // What does not change from block to block is prepared: the instructions, and where to write down what does.
  Place place;
  Operands prepared[kMaxRegisters];
  // Not pairs, which would all be cleared first.
  struct Straight {
    int64_t instruction, output;  // whose result is this output at once
  };
  struct Reader {
    const void** operand;
    int64_t moving;  // the register that it reads
  };
  int64_t moves = 0, stores = 0, reads = 0;
  int64_t moving[kMaxRegisters];  // inputs that lie elsewhere in each block
  Straight stored[kMaxRegisters];
  Reader readers[3 * kMaxRegisters];
};

}  // namespace nacre::NACRE_ISA_NAMESPACE
