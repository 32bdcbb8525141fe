// One run of numbers reduced, in the order that kernels/reduction.h fixes.
#pragma once

#include "kernels/reduction.h"
#include "kernels/simd/vector.h"

namespace nacre::NACRE_ISA_NAMESPACE {
namespace {

struct Sum {
  static constexpr float kStart = 0;
  NACRE_INLINE F join(F a, F b) { return a + b; }
};

struct Max {
  static constexpr float kStart = -__builtin_inff();
  NACRE_INLINE F join(F a, F b) { return larger(a, b); }
};

struct Min {
  static constexpr float kStart = __builtin_inff();
  NACRE_INLINE F join(F a, F b) { return smaller(a, b); }
};

constexpr int64_t kVectors = kLanesOfSum / kLanes;

template <typename Rule>
NACRE_INLINE float join(float a, float b) {
  return Rule::join(all(a), all(b))[0];
}

// The tree over the lanes: first between vectors, then between the halves of one.
template <typename Rule, int Half = kLanes / 2>
NACRE_INLINE F fold_vector(F x) {
  x = Rule::join(x, shuffle<[](int l) { return (l + Half) % kLanes; }>(x, x));
  if constexpr (Half > 1)
    return fold_vector<Rule, Half / 2>(x);
  else
    return x;
}

template <typename Rule>
NACRE_INLINE float fold(F* lanes) {
  for (int64_t half = kVectors / 2; half; half /= 2)
    for (int64_t v = 0; v < half; ++v) lanes[v] = Rule::join(lanes[v], lanes[v + half]);
  return fold_vector<Rule>(lanes[0])[0];
}

// One run of consecutive elements.
template <typename Rule>
NACRE_INLINE float run(const float* x, int64_t n) {
  float total = Rule::kStart;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t end = begin + kChunk < n ? begin + kChunk : n;
    F lanes[kVectors];
    for (F& lane : lanes) lane = all(Rule::kStart);
    int64_t e = begin;
    for (; e + kLanesOfSum <= end; e += kLanesOfSum)
      for (int64_t v = 0; v < kVectors; ++v) lanes[v] = Rule::join(lanes[v], load<F>(x + e + v * kLanes));
    if (e < end) {
      float edge[kLanesOfSum];
      for (float& lane : edge) lane = Rule::kStart;
      __builtin_memcpy(edge, x + e, (end - e) * sizeof(float));  // x may be lanes of a register, which are no floats
      for (int64_t v = 0; v < kVectors; ++v) lanes[v] = Rule::join(lanes[v], load<F>(edge + v * kLanes));
    }
    total = join<Rule>(total, fold<Rule>(lanes));
  }
  return total;
}

}  // namespace
}  // namespace nacre::NACRE_ISA_NAMESPACE
