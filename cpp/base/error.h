// The one exception of the cellar. A message says what was found where; the door to Python turns it into a Python
// error.
#pragma once

#include <stdexcept>
#include <string>

namespace nacre {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void require(bool condition, const std::string& message) {
  if (!condition) throw Error(message);
}

}  // namespace nacre
