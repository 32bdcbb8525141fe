// What a kernel is: a function of operands and a flat list of integers. What the integers mean is written beside each
// kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nacre {

struct Call {
  void* const* operands;  // the inputs, then the outputs
  const int64_t* args;
};

using Kernel = void (*)(const Call&);

// Bytes that a kernel touches of each operand, from its integers; throws Error when the integers make no sense.
// A plan checks this against its buffers once, so that a kernel never needs to look.
using Extents = std::vector<size_t> (*)(const int64_t* args, size_t count);

}  // namespace nacre
