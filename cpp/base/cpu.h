// Which instruction sets there are, and which this processor has.
#pragma once

#include <string>
#include <vector>

namespace nacre {

// Names of the kernel sets this processor can run, slowest first; "reference" is always there.
std::vector<std::string> available_isas();

}  // namespace nacre
