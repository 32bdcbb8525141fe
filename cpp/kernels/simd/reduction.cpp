// Reductions on vectors, in the order that kernels/reduction.h fixes.
#include "kernels/simd/reduction.h"

#include "kernels/call.h"

namespace nacre::NACRE_ISA_NAMESPACE {

namespace {

// `inner` columns side by side, rows added from the top. With `z`, what is reduced are products.
template <typename Rule, bool Products = false>
NACRE_INLINE void columns(const float* x, float* y, int64_t n, int64_t inner, int64_t first, int64_t last,
                          const float* z = nullptr) {
  const auto vector_at = [](const float* from, int64_t width) {
    if (width == kLanes) return load<F>(from);
    F vector = {};
    __builtin_memcpy(&vector, from, width * sizeof(float));
    return vector;
  };
  for (int64_t i = first; i < last; i += kLanes) {
    const int64_t width = inner - i < kLanes ? inner - i : kLanes;
    F total = all(Rule::kStart);
    for (int64_t begin = 0; begin < n; begin += kRows) {
      F chunk = all(Rule::kStart);
      for (int64_t e = begin; e < n && e < begin + kRows; ++e) {
        F row = vector_at(x + e * inner + i, width);
        if constexpr (Products) row = row * vector_at(z + e * inner + i, width);
        chunk = Rule::join(chunk, row);
      }
      total = Rule::join(total, chunk);
    }
    __builtin_memcpy(y + i, &total, width * sizeof(float));
  }
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
  for (int64_t v = call.begin(shares) * at_once; v < end; ++v) {
    const int64_t o = v / vectors, first = v % vectors * kLanes;
    const int64_t last = first + kLanes < inner ? first + kLanes : inner;
    columns<Sum, true>(x + o * n * inner, y + o * inner, n, inner, first, last, z + o * n * inner);
  }
}

void reduce_max(const Call& call) { reduce<Max>(call); }
void reduce_min(const Call& call) { reduce<Min>(call); }

}  // namespace nacre::NACRE_ISA_NAMESPACE
