// Bytes touched by each kernel; see `Extents`.
#pragma once

#include "kernels/call.h"

namespace nacre::extents {

#define NACRE_KERNEL(name) std::vector<size_t> name(const int64_t* args, size_t count);
#define NACRE_MOVE(name) NACRE_KERNEL(name)
#include "kernels/kernels.def"

}  // namespace nacre::extents
