// One lane of a register program, for the reference versions.
#pragma once

#include <cstdint>

#include "kernels/map.h"

namespace nacre::reference {

// Lanes hold 32 bits; what they mean is the instruction's business.
using Lane = uint32_t;

Lane load(const void* data, DType dtype, int64_t index);
void store(void* data, DType dtype, int64_t index, Lane x);

// `block` and `lane_of_block` say where random numbers come from.
Lane evaluate(MapOp op, Lane a, Lane b, Lane c, int64_t block, int64_t lane_of_block);

// A run of numbers added in the order of kernels/reduction.h.
float sum_of(const float* x, int64_t n);

}  // namespace nacre::reference
