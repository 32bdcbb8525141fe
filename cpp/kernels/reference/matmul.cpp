// matmul: C (m, n) = A (m, k) times B (k, n); args = { m, k, n, transpose_a, transpose_b }; a transposed operand is
// stored the other way round. One chain of fused multiply-adds over k for each element: the order that every version
// keeps.
#include <array>
#include <cmath>

#include "base/error.h"
#include "kernels/extents.h"

namespace nacre {

namespace reference {
void matmul(const Call& call) {
  const auto [m, k, n] = std::array{call.args[0], call.args[1], call.args[2]};
  const bool ta = call.args[3], tb = call.args[4];
  const auto* a = static_cast<const float*>(call.operands[0]);
  const auto* b = static_cast<const float*>(call.operands[1]);
  auto* c = static_cast<float*>(call.operands[2]);
  for (int64_t i = call.begin(m); i < call.end(m); ++i)
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < k; ++p) sum = std::fma(a[ta ? p * m + i : i * k + p], b[tb ? j * k + p : p * n + j], sum);
      c[i * n + j] = sum;
    }
}
}  // namespace reference

std::vector<size_t> extents::matmul(const int64_t* args, size_t count) {
  require(count == 5 && args[0] >= 0 && args[1] >= 0 && args[2] >= 0, "matmul: bad sizes");
  const int64_t m = args[0], k = args[1], n = args[2];
  return {product({4, m, k}), product({4, k, n}), product({4, m, n})};
}

}  // namespace nacre
