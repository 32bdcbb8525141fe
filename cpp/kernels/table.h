// All kernels by name and instruction set.
#pragma once

#include <string>
#include <vector>

#include "kernels/call.h"

namespace nacre {

struct KernelRow {
  std::string name;
  Extents extents;
};

// Names in the order of kernels.def; a kernel's number is its place here.
const std::vector<KernelRow>& kernel_rows();
const std::vector<std::string>& map_op_names();

// The functions of one instruction set, in the same order; throws Error for a set that this processor cannot run.
const std::vector<Kernel>& kernels_for(const std::string& isa);

}  // namespace nacre
