// Reductions on vectors, in the order that kernels/reduction.h fixes.
#include "kernels/simd/reduction.h"

#include "kernels/call.h"

namespace nacre::NACRE_ISA_NAMESPACE {

namespace {

// Vectors of columns that are added up at once: each waits for its own sum only.
constexpr int kAtOnce = 2;

// Columns i .. i + width - 1 of `inner` side by side, rows added from the top. With `z`, what is reduced are products.
template <typename Rule, bool Products, int Vectors>
NACRE_INLINE void strip(const float* x, const float* z, float* y, int64_t n, int64_t inner, int64_t i, int64_t width) {
  const auto vector_at = [width](const float* from) {
    if (width % kLanes == 0) return load<F>(from);
    F vector = {};
    __builtin_memcpy(&vector, from, width * sizeof(float));
    return vector;
  };
  F total[Vectors], chunk[Vectors];
  for (F& one : total) one = all(Rule::kStart);
  for (int64_t begin = 0; begin < n; begin += kRows) {
    for (F& one : chunk) one = all(Rule::kStart);
    for (int64_t e = begin; e < n && e < begin + kRows; ++e)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        const int64_t at = e * inner + i + v * kLanes;
        F row = vector_at(x + at);
        if constexpr (Products) row = row * vector_at(z + at);
        chunk[v] = Rule::join(chunk[v], row);
      }
    for (int v = 0; v < Vectors; ++v) total[v] = Rule::join(total[v], chunk[v]);
  }
  __builtin_memcpy(y + i, total, width * sizeof(float));
}

template <typename Rule, bool Products = false>
NACRE_INLINE void columns(const float* x, float* y, int64_t n, int64_t inner, int64_t first, int64_t last,
                          const float* z = nullptr) {
  int64_t i = first;
  for (; i + kAtOnce * kLanes <= last; i += kAtOnce * kLanes)
    strip<Rule, Products, kAtOnce>(x, z, y, n, inner, i, kAtOnce * kLanes);
  for (; i < last; i += kLanes) strip<Rule, Products, 1>(x, z, y, n, inner, i, last - i < kLanes ? last - i : kLanes);
}

// Shared out by rows, or by vectors of columns when there is one row of them.
template <typename Rule>
NACRE_INLINE void reduce(const Call& call) {
  const int64_t outer = call.args[0], n = call.args[1], inner = call.args[2];
  const auto* x = static_cast<const float*>(call.operands[0]);
  auto* y = static_cast<float*>(call.operands[1]);
  if (outer == 1 && inner > 1) {
    const int64_t vectors = (inner + kLanes - 1) / kLanes;
    const int64_t last = call.end(vectors) * kLanes;
    return columns<Rule>(x, y, n, inner, call.begin(vectors) * kLanes, last < inner ? last : inner);
  }
  for (int64_t o = call.begin(outer); o < call.end(outer); ++o) {
    if (inner == 1)
      y[o] = run<Rule>(x + o * n, n);
    else
      columns<Rule>(x + o * n * inner, y + o * inner, n, inner, 0, inner);
  }
}

}  // namespace

void reduce_sum(const Call& call) { reduce<Sum>(call); }

void reduce_products(const Call& call) {
  const int64_t outer = call.args[0], n = call.args[1], inner = call.args[2];
  const auto* x = static_cast<const float*>(call.operands[0]);
  const auto* z = static_cast<const float*>(call.operands[1]);
  auto* y = static_cast<float*>(call.operands[2]);
  const int64_t vectors = (inner + kLanes - 1) / kLanes, at_once = call.sharing == Sharing::panels ? vectors : 1;
  const int64_t shares = outer * vectors / at_once, end = call.end(shares) * at_once;
  for (int64_t v = call.begin(shares) * at_once; v < end;) {
    const int64_t o = v / vectors, first = v % vectors, left = vectors - first;
    const int64_t last = first + (left < end - v ? left : end - v), edge = last * kLanes;
    columns<Sum, true>(x + o * n * inner, y + o * inner, n, inner, first * kLanes, edge < inner ? edge : inner,
                       z + o * n * inner);
    v += last - first;
  }
}

void reduce_max(const Call& call) { reduce<Max>(call); }
void reduce_min(const Call& call) { reduce<Min>(call); }

}  // namespace nacre::NACRE_ISA_NAMESPACE
