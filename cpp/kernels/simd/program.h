// A register program while it runs; see kernels/map.h. Interpreted once per block of lanes, so that its registers stay
// in the first cache.
#pragma once

#include <cstdint>

#include "kernels/map.h"

namespace nacre::NACRE_ISA_NAMESPACE {

constexpr int64_t kLanesOfBlock = 512;  // 2 KB a register

struct Registers {
  alignas(64) uint32_t lanes[kMaxRegisters][kLanesOfBlock];
};

struct Running {
  Running(const int64_t* args, void* const* given);

  // Elements first .. first + count - 1 of a panel, at most a block. `product` holds these elements of a matrix
  // product.
  void block(int64_t panel, int64_t first, int64_t count, const float* product);

  MapProgram program;
  uint32_t (*registers)[kLanesOfBlock];
  void* const* operands;  // the outputs
  const MapInstruction* last;
  const void* at[kMaxRegisters];    // where each register is now: not always in `registers`
  const void* data[kMaxRegisters];  // what each stored input reads
};

}  // namespace nacre::NACRE_ISA_NAMESPACE
