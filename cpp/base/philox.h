// Philox-4x64, 10 rounds: random words as a pure function of key and counter (Salmon et al., SC 2011).
#pragma once

#include <array>
#include <cstdint>

namespace nacre {

inline std::array<uint64_t, 4> philox(std::array<uint64_t, 2> key, std::array<uint64_t, 4> counter) {
  const auto multiply = [](uint64_t a, uint64_t b) { return static_cast<unsigned __int128>(a) * b; };
  auto [c0, c1, c2, c3] = counter;
  for (int round = 0; round < 10; ++round) {
    const auto first = multiply(0xD2E7470EE14C6C93, c0), second = multiply(0xCA5A826395121157, c2);
    c0 = static_cast<uint64_t>(second >> 64) ^ c1 ^ key[0];
    c1 = static_cast<uint64_t>(second);
    c2 = static_cast<uint64_t>(first >> 64) ^ c3 ^ key[1];
    c3 = static_cast<uint64_t>(first);
    key[0] += 0x9E3779B97F4A7C15;
    key[1] += 0xBB67AE8584CAA73B;
  }
  return {c0, c1, c2, c3};
}

}  // namespace nacre
