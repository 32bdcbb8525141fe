// Threefry-2x32, 20 rounds: random words as a pure function of key and counter (Salmon et al., SC 2011).
// `Word` is uint32_t or a vector of them, so that the kernels and their reference share one text.
#pragma once

#include <array>
#include <cstdint>

namespace nacre {

template <typename Word>
[[gnu::always_inline]] inline std::array<Word, 2> threefry(Word k0, Word k1, Word c0, Word c1) {
  constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const Word keys[3] = {k0, k1, k0 ^ k1 ^ 0x1BD11BDAu};
  Word x0 = c0 + keys[0], x1 = c1 + keys[1];
  for (uint32_t block = 0; block < 5; ++block) {
    for (int r : kRotations[block % 2]) {
      x0 = x0 + x1;
      x1 = ((x1 << r) | (x1 >> (32 - r))) ^ x0;
    }
    x0 = x0 + keys[(block + 1) % 3];
    x1 = x1 + keys[(block + 2) % 3] + (block + 1);
  }
  return {x0, x1};
}

}  // namespace nacre
