// The one exception of the cellar. A message says what was found where; the door to Python turns it into a Python
// error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

namespace nacre {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void require(bool condition, const std::string& message) {
  if (!condition) throw Error(message);
}

// The same without making a string first.
inline void require(bool condition, const char* message) {
  if (!condition) throw Error(message);
}

// The product of sizes, none of them negative; throws when it does not fit.
inline size_t product(std::initializer_list<int64_t> sizes) {
  int64_t all = 1;
  for (int64_t size : sizes)
    require(size >= 0 && !__builtin_mul_overflow(all, size, &all), "a size is negative or too large");
  return static_cast<size_t>(all);
}

}  // namespace nacre
