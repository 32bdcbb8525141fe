// matmul: C (m, n) = A (m, k) times B (k, n); args = { m, k, n, how }. All three lie in panels (kernels/panel.h, which
// has the bits of `how` too); with kTransposed, what lies there is the transpose of A, a matrix (k, m). With kFromData,
// that is a column of the data instead; with kOverData, which goes with kTransposed only, B is; kBytes: a column of
// bytes.
//
// One chain of fused multiply-adds over k for each element: the order that every version keeps. In bfloat16, of each
// two neighbors in the chain the second comes first, and an odd last one comes after a product of zeros: so does the
// processor that multiplies and adds pairs.
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "kernels/denormals.h"
#include "kernels/extents.h"
#include "kernels/map.h"
#include "kernels/panel.h"
#include "kernels/reduction.h"

namespace nacre {

namespace {

int64_t place(int64_t row, int64_t column, int64_t rows) {
  return (column / kPanel * rows + row) * kPanel + column % kPanel;
}

// To the nearest number of bfloat16, ties to even; what is too small to be normal becomes 0.
float to_bfloat16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x), size = bits & 0x7fffffff;
  if (size > 0x7f800000) return std::bit_cast<float>((bits | 0x00400000) & 0xffff0000);
  if (size < 0x00800000) return std::bit_cast<float>(bits & 0x80000000);
  return std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

// The chain over begin .. end - 1; `a` and `b` tell its factors.
template <typename A, typename B>
float chain(int64_t begin, int64_t end, bool bfloat16, const A& a, const B& b) {
  float sum = 0;
  if (!bfloat16) {
    for (int64_t p = begin; p < end; ++p) sum = std::fma(a(p), b(p), sum);
    return sum;
  }
  for (int64_t p = begin; p < end; p += 2) {
    const bool both = p + 1 < end;
    sum = std::fma(both ? to_bfloat16(a(p + 1)) : 0, both ? to_bfloat16(b(p + 1)) : 0, sum);
    sum = std::fma(to_bfloat16(a(p)), to_bfloat16(b(p)), sum);
  }
  return sum;
}

// Number `c` of row `r` of a column of the data.
float number(const void* column, int64_t r, int64_t c, int64_t columns, int64_t how) {
  const auto* rows = static_cast<const Rows*>(column);
  if (how & kBytes) return static_cast<float>(rows->data[rows->order[r] * columns + c]) * scale_of(how);
  float x;
  std::memcpy(&x, rows->data + (rows->order[r] * columns + c) * sizeof x, sizeof x);
  return x;
}

}  // namespace

namespace reference {
void map(const Call& call);

void matmul(const Call& call) {
  const NoDenormals guard(call.args[3] & kBfloat16);
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2];
  const bool transposed = call.args[3] & kTransposed, bfloat16 = call.args[3] & kBfloat16;
  const bool from_data = call.args[3] & kFromData, over_data = call.args[3] & kOverData;
  const auto* a = static_cast<const float*>(call.operands[0]);
  const auto* b = static_cast<const float*>(call.operands[1]);
  auto* c = static_cast<float*>(call.operands[2]);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < panels(n) * kPanel; ++j)
      c[place(i, j, m)] = chain(
          0, k, bfloat16,
          [&](int64_t p) {
            if (!from_data) return a[transposed ? place(p, i, k) : place(i, p, m)];
            return transposed ? number(call.operands[0], p, i, m, call.args[3])
                              : number(call.operands[0], i, p, k, call.args[3]);
          },
          [&](int64_t p) {
            return !over_data ? b[place(p, j, k)] : j < n ? number(call.operands[1], p, j, n, call.args[3]) : 0;
          });
}

// matmul_slices: the product of a matrix with one of a single panel, B, as that many addends; args = { m, k, n, how,
// slices }; operands A, B, C of each slice.
void matmul_slices(const Call& call) {
  const NoDenormals guard(call.args[3] & kBfloat16);
  const int64_t m = call.args[0], k = call.args[1], slices = call.args[4];
  const auto* a = static_cast<const float*>(call.operands[0]);
  const auto* b = static_cast<const float*>(call.operands[1]);
  for (int64_t s = 0; s < slices; ++s)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < kPanel; ++j)
        static_cast<float*>(call.operands[2 + s])[place(i, j, m)] = chain(
            slice_begin(k, s, slices), slice_begin(k, s + 1, slices), call.args[3] & kBfloat16,
            [&](int64_t p) {
              return call.args[3] & kFromData ? number(call.operands[0], i, p, k, call.args[3]) : a[place(i, p, m)];
            },
            [&](int64_t p) { return b[place(p, j, k)]; });
}

// matmul_dots: the same with B whose transpose lies in panels.
//
// Both factors lie along k, so the sums do too: each element has sixteen, added as kernels/reduction.h says.
void matmul_dots(const Call& call) {
  const int64_t m = call.args[0], k = call.args[1], n = call.args[2], slices = call.args[4];
  const auto* a = static_cast<const float*>(call.operands[0]);
  const auto* b = static_cast<const float*>(call.operands[1]);
  const auto rounded = [&](float x) { return call.args[3] & kBfloat16 ? to_bfloat16(x) : x; };
  for (int64_t s = 0; s < slices; ++s)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < kPanel; ++j) {
        float sums[kLanesOfSum] = {};
        for (int64_t p = slice_begin(k, s, slices); j < n && p < slice_begin(k, s + 1, slices); ++p) {
          const float x =
              call.args[3] & kFromData ? number(call.operands[0], i, p, k, call.args[3]) : a[place(i, p, m)];
          float& sum = sums[p % kLanesOfSum];
          sum = std::fma(rounded(x), rounded(b[place(j, p, n)]), sum);
        }
        static_cast<float*>(call.operands[2 + s])[place(i, j, m)] = add_lanes(sums);
      }
}

// matmul_bias: C = A B + bias, or the larger of that and 0; args = { m, k, n, how, relu }. The bias has
// room for whole panels.
void matmul_bias(const Call& call) {
  const NoDenormals guard(call.args[3] & kBfloat16);
  const int64_t m = call.args[0], n = panels(call.args[2]) * kPanel;
  const auto* bias = static_cast<const float*>(call.operands[2]);
  auto* c = static_cast<float*>(call.operands[3]);
  void* const operands[] = {call.operands[0], call.operands[1], c};
  matmul({operands, call.args});
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      float& x = c[place(i, j, m)];
      x += bias[j];
      if (call.args[4] && x <= 0) x = 0;
    }
}

// matmul_masked: C = A B times a number where the mask is above 0, else 0; args = { m, k, n, how, bits of the number };
// operands A, B, mask, C.
void matmul_masked(const Call& call) {
  const NoDenormals guard(call.args[3] & kBfloat16);
  const int64_t size = call.args[0] * panels(call.args[2]) * kPanel;
  const auto* mask = static_cast<const float*>(call.operands[2]);
  const auto scale = std::bit_cast<float>(static_cast<uint32_t>(call.args[4]));
  auto* c = static_cast<float*>(call.operands[3]);
  void* const operands[] = {call.operands[0], call.operands[1], c};
  matmul({operands, call.args});
  for (int64_t i = 0; i < size; ++i) c[i] = mask[i] > 0 ? c[i] * scale : 0;
}

// matmul_update: C = W - rate A^T B; args = { m, k, n, how }; operands A, B, rate, W, C.
void matmul_update(const Call& call) {
  const NoDenormals guard(call.args[3] & kBfloat16);
  const int64_t size = call.args[0] * panels(call.args[2]) * kPanel;
  const float rate = *static_cast<const float*>(call.operands[2]);
  const auto* w = static_cast<const float*>(call.operands[3]);
  auto* c = static_cast<float*>(call.operands[4]);
  std::vector<float> product(size);
  void* const operands[] = {call.operands[0], call.operands[1], product.data()};
  matmul({operands, call.args});
  for (int64_t i = 0; i < size; ++i) c[i] = w[i] - rate * product[i];
}

// matmul_map: a product, and a register program over it; args = { m, k, n, how, integers of the program }. The
// program runs over the panels of C, which need not be stored; one of its inputs reads the product (kernels/map.h).
void matmul_map(const Call& call) {
  const NoDenormals guard(call.args[3] & kBfloat16);
  const int64_t m = call.args[0], n = call.args[2];
  std::vector<float> product(panels(n) * m * kPanel);
  void* const factors[] = {call.operands[0], call.operands[1], product.data()};
  matmul({factors, call.args});
  const MapProgram program(call.args + 4);
  const auto* first = reinterpret_cast<const int64_t*>(program.output + program.outputs);
  std::vector<int64_t> args(call.args + 4, first);
  std::vector<void*> operands;
  int64_t stored = 2;
  for (int64_t i = 0; i < program.inputs; ++i) {
    const bool is_product = program.input[i].access == Access::product;
    if (is_product) args[MapProgram::kHeader + 4 * i] = static_cast<int64_t>(Access::dense);
    if (is_product || program.input[i].stored())
      operands.push_back(is_product ? product.data() : call.operands[stored++]);
  }
  for (int64_t o = 0; o < program.outputs; ++o) operands.push_back(call.operands[stored++]);
  map({operands.data(), args.data()});
}
}  // namespace reference

// Of any product; `bytes` tells whether one whose first factor is not transposed may read bytes.
static std::vector<size_t> of_product(const int64_t* args, bool bytes) {
  require(args[0] >= 0 && args[1] >= 0 && args[2] >= 0, "matmul: bad sizes");
  const int64_t m = args[0], k = args[1], n = args[2], how = args[3] & kBytes ? args[3] & 0xffffffff : args[3];
  require((how & ~(kTransposed | kBfloat16 | kFromData | kOverData | kBytes)) == 0, "matmul: unknown bits");
  const bool from_data = how & kFromData, over_data = how & kOverData;
  require(!over_data || (n % kPiece == 0 && (how & ~kBytes) == (kTransposed | kOverData)), "matmul: not over data");
  require(!from_data || !(how & (kBfloat16 | kOverData)), "matmul: not from data");
  require(!(how & kBytes) || (bytes ? from_data : how & kTransposed && (from_data || over_data)), "matmul: no bytes");
  require(!(how & kBytes) || (over_data ? n : how & kTransposed ? m : k) >= kPiece, "matmul: too few bytes in a row");
  const int64_t item = how & kBytes ? 1 : 4;
  const size_t in_panels = how & kTransposed ? product({4, k, panels(m), kPanel}) : product({4, m, panels(k), kPanel});
  const size_t b = over_data ? product({item, k, n}) : product({4, k, panels(n), kPanel});
  return {from_data ? product({item, m, k}) : in_panels, b, product({4, m, panels(n), kPanel})};
}

std::vector<size_t> extents::matmul(const int64_t* args, size_t count) {
  require(count == 4, "matmul: bad sizes");
  return of_product(args, false);
}

std::vector<size_t> extents::matmul_slices(const int64_t* args, size_t count) {
  require(count == 5 && !(args[3] & kTransposed) && args[4] > 0 && args[4] <= 64, "matmul_slices: bad sizes");
  auto bytes = of_product(args, true);
  require(panels(args[2]) == 1, "matmul_slices: more than a panel");
  bytes.resize(2 + args[4], bytes[2]);
  return bytes;
}

std::vector<size_t> extents::matmul_dots(const int64_t* args, size_t count) {
  auto bytes = matmul_slices(args, count);
  const int64_t k = args[1], n = args[2];
  require(!(args[3] & kFromData) || k % kPiece == 0, "matmul_dots: not from data");
  bytes[1] = product({4, n, panels(k), kPanel});
  return bytes;
}

std::vector<size_t> extents::matmul_bias(const int64_t* args, size_t count) {
  require(count == 5 && !(args[3] & kTransposed), "matmul_bias: bad sizes");
  const auto bytes = matmul(args, 4);
  return {bytes[0], bytes[1], product({4, panels(args[2]), kPanel}), bytes[2]};
}

std::vector<size_t> extents::matmul_masked(const int64_t* args, size_t count) {
  require(count == 5 && !(args[3] & kTransposed), "matmul_masked: bad sizes");
  const auto bytes = matmul(args, 4);
  return {bytes[0], bytes[1], bytes[2], bytes[2]};
}

std::vector<size_t> extents::matmul_update(const int64_t* args, size_t count) {
  require(count == 4 && (args[3] & kTransposed), "matmul_update: bad sizes");
  const auto bytes = matmul(args, 4);
  return {bytes[0], bytes[1], 4, bytes[2], bytes[2]};
}

std::vector<size_t> extents::matmul_map(const int64_t* args, size_t count) {
  require(count > 4, "matmul_map: bad sizes");
  auto bytes = matmul(args, 4);
  bytes.pop_back();
  for (size_t more : map(args + 4, count - 4)) bytes.push_back(more);
  const MapProgram program(args + 4);
  require(program.panels == panels(args[2]) && program.elements == args[0] * kPanel,
          "matmul_map: not over the product");
  require(!program.sums(), "matmul_map: it makes no sums");
  for (int64_t i = 0; i < program.inputs; ++i)
    require(program.input[i].access != Access::product || program.input[i].step == program.elements,
            "matmul_map: the product moves on with the panels");
  return bytes;
}

}  // namespace nacre
