// Memory aligned for vectors: 64 bytes, a cache line and the widest register.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace nacre {

constexpr size_t kAlignment = 64;

struct AlignedFree {
  void operator()(void* memory) const { std::free(memory); }
};

using AlignedBlock = std::unique_ptr<std::byte[], AlignedFree>;

// Memory of at least `bytes`, not initialized; bad_alloc when there is none.
inline AlignedBlock allocate(size_t bytes) {
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded ? rounded : kAlignment);
  if (!memory) throw std::bad_alloc();
  return AlignedBlock(static_cast<std::byte*>(memory));
}

}  // namespace nacre
