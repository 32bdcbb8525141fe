// matmul: C (m, n) = A (m, k) times B (k, n); args = { m, k, n, transposed_a }. All three lie in panels
// (kernels/panel.h); with transposed_a, what lies there is the transpose of A, a matrix (k, m).
//
// One chain of fused multiply-adds over k for each element: the order that every version keeps.
#include <cmath>

#include "base/error.h"
#include "kernels/extents.h"
#include "kernels/panel.h"

namespace nacre {

namespace {

int64_t place(int64_t row, int64_t column, int64_t rows) {
  return (column / kPanel * rows + row) * kPanel + column % kPanel;
}

}  // namespace

namespace reference {
void matmul(const Call& call) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2];
  const bool transposed = call.args[3];
  const auto* a = static_cast<const float*>(call.operands[0]);
  const auto* b = static_cast<const float*>(call.operands[1]);
  auto* c = static_cast<float*>(call.operands[2]);
  for (int64_t i = call.begin(m); i < call.end(m); ++i)
    for (int64_t j = 0; j < panels(n) * kPanel; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < k; ++p)
        sum = std::fma(a[transposed ? place(p, i, k) : place(i, p, m)], b[place(p, j, k)], sum);
      c[place(i, j, m)] = sum;
    }
}
}  // namespace reference

std::vector<size_t> extents::matmul(const int64_t* args, size_t count) {
  require(count == 4 && args[0] >= 0 && args[1] >= 0 && args[2] >= 0, "matmul: bad sizes");
  const int64_t m = args[0], k = args[1], n = args[2];
  const size_t a = args[3] ? product({4, k, panels(m), kPanel}) : product({4, m, panels(k), kPanel});
  return {a, product({4, k, panels(n), kPanel}), product({4, m, panels(n), kPanel})};
}

}  // namespace nacre
