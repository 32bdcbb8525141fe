#include "kernels/reduction.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "kernels/extents.h"
#include "kernels/reference/lanes.h"

namespace nacre {

namespace reference {

float sum_of(const float* x, int64_t n) {
  float total = 0;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    float lanes[kLanesOfSum] = {};
    for (int64_t e = begin; e < std::min(begin + kChunk, n); ++e) lanes[(e - begin) % kLanesOfSum] += x[e];
    total += add_lanes(lanes);
  }
  return total;
}

static float sum_strided(const float* x, int64_t n, int64_t stride) {
  float total = 0;
  for (int64_t begin = 0; begin < n; begin += kRows) {
    float chunk = 0;
    for (int64_t e = begin; e < std::min(begin + kRows, n); ++e) chunk += x[e * stride];
    total += chunk;
  }
  return total;
}

void reduce_sum(const Call& call) {
  const int64_t outer = call.args[0], n = call.args[1], inner = call.args[2];
  const auto* x = static_cast<const float*>(call.operands[0]);
  auto* y = static_cast<float*>(call.operands[1]);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      const float* first = x + o * n * inner + i;
      y[o * inner + i] = inner == 1 ? sum_of(first, n) : sum_strided(first, n, inner);
    }
}

void reduce_products(const Call& call) {
  const auto* x = static_cast<const float*>(call.operands[0]);
  const auto* z = static_cast<const float*>(call.operands[1]);
  std::vector<float> products(call.args[0] * call.args[1] * call.args[2]);
  for (size_t i = 0; i < products.size(); ++i) products[i] = x[i] * z[i];
  void* operands[] = {products.data(), call.operands[2]};
  Call sum = call;
  sum.operands = operands;
  reduce_sum(sum);
}

template <typename Better>
static void extreme(const Call& call, Better better) {
  const int64_t outer = call.args[0], n = call.args[1], inner = call.args[2];
  const auto* x = static_cast<const float*>(call.operands[0]);
  auto* y = static_cast<float*>(call.operands[1]);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      float best = x[o * n * inner + i];
      for (int64_t e = 1; e < n; ++e) {
        const float next = x[(o * n + e) * inner + i];
        if (std::isnan(next) || better(next, best)) best = next;  // a NaN stays: nothing is better than it
      }
      y[o * inner + i] = best;
    }
}

void reduce_max(const Call& call) {
  extreme(call, [](float a, float b) { return a > b; });
}

void reduce_min(const Call& call) {
  extreme(call, [](float a, float b) { return a < b; });
}

// argmax: args = { outer, n, inner }; x (outer, n, inner) -> int32 y (outer, inner), the first of equals, NaN above
// all.
void argmax(const Call& call) {
  const int64_t outer = call.args[0], n = call.args[1], inner = call.args[2];
  const auto* x = static_cast<const float*>(call.operands[0]);
  auto* y = static_cast<int32_t*>(call.operands[1]);
  for (int64_t o = call.begin(outer); o < call.end(outer); ++o)
    for (int64_t i = 0; i < inner; ++i) {
      int64_t best = 0;
      for (int64_t e = 1; e < n; ++e) {
        const float top = x[(o * n + best) * inner + i], next = x[(o * n + e) * inner + i];
        if (!std::isnan(top) && (std::isnan(next) || next > top)) best = e;
      }
      y[o * inner + i] = static_cast<int32_t>(best);
    }
}

// reduce_int32: args = { what, outer, n, inner }; whole numbers x (outer, n, inner) -> y (outer, inner): their sum
// modulo 2^32 (what = 0), the largest (1), the smallest (2), or where the first of the largest is (3).
void reduce_int32(const Call& call) {
  const int64_t what = call.args[0], outer = call.args[1], n = call.args[2], inner = call.args[3];
  const auto* x = static_cast<const int32_t*>(call.operands[0]);
  auto* y = static_cast<int32_t*>(call.operands[1]);
  for (int64_t o = call.begin(outer); o < call.end(outer); ++o)
    for (int64_t i = 0; i < inner; ++i) {
      const auto at = [&](int64_t e) { return x[(o * n + e) * inner + i]; };
      uint32_t sum = 0;
      int64_t best = 0;
      for (int64_t e = 0; e < n; ++e) {
        sum += static_cast<uint32_t>(at(e));
        if (what == 2 ? at(e) < at(best) : at(e) > at(best)) best = e;
      }
      y[o * inner + i] = what == 0 ? static_cast<int32_t>(sum) : what == 3 ? static_cast<int32_t>(best) : at(best);
    }
}

}  // namespace reference

std::vector<size_t> extents::reduce_sum(const int64_t* args, size_t count) {
  require(count == 3 && args[0] >= 0 && args[1] >= 0 && args[2] >= 0, "reduction: bad sizes");
  return {product({4, args[0], args[1], args[2]}), product({4, args[0], args[2]})};
}

std::vector<size_t> extents::reduce_products(const int64_t* args, size_t count) {
  const auto bytes = reduce_sum(args, count);
  require(args[2] > 1, "reduce_products: for sums of columns");
  return {bytes[0], bytes[0], bytes[1]};
}

std::vector<size_t> extents::reduce_max(const int64_t* args, size_t count) {
  const auto bytes = reduce_sum(args, count);
  require(args[1] > 0, "reduction: nothing to choose from");
  return bytes;
}

std::vector<size_t> extents::reduce_min(const int64_t* args, size_t count) { return reduce_max(args, count); }
std::vector<size_t> extents::argmax(const int64_t* args, size_t count) { return reduce_max(args, count); }

std::vector<size_t> extents::reduce_int32(const int64_t* args, size_t count) {
  require(count == 4 && args[0] >= 0 && args[0] <= 3, "reduce_int32: unknown reduction");
  return args[0] ? reduce_max(args + 1, 3) : reduce_sum(args + 1, 3);
}
}  // namespace nacre
