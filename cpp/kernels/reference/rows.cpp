#include "kernels/rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kernels/extents.h"
#include "kernels/map.h"
#include "kernels/reference/lanes.h"

namespace nacre {

namespace {

void check_place(const RowsPlace& place, const RowsProgram& program, RowsData last) {
  require(place.kind >= RowsData::plain && place.kind <= last, "rows: no such place");
  const bool vector = place.kind == RowsData::vector || place.kind >= RowsData::vector_scalar;
  require(place.reg >= 0 && place.reg < (vector ? program.vectors : program.matrices), "rows: no such register");
  require(!place.stored() || (place.dtype >= 0 && place.dtype <= static_cast<int64_t>(DType::float32)),
          "rows: no such dtype");
}

size_t bytes_of(const RowsPlace& place, const RowsProgram& program) {
  const int64_t item = item_bytes(static_cast<DType>(place.dtype));
  switch (place.kind) {
    case RowsData::plain:
      return product({program.rows, program.columns, item});
    case RowsData::panels:
      return product({program.rows, panels(program.columns), kPanel, item});
    case RowsData::vector:
      return product({program.rows, item});
    case RowsData::row:
      return product({program.columns, item});
    default:
      return static_cast<size_t>(item);
  }
}

void check_step(const RowsInstruction& step, const RowsProgram& program) {
  require(step.kind >= RowsStep::on_matrices && step.kind <= RowsStep::spread, "rows: no such instruction");
  const bool to_matrix = step.kind == RowsStep::on_matrices || step.kind == RowsStep::spread;
  const bool from_matrix = step.kind != RowsStep::on_vectors && step.kind != RowsStep::spread;
  require(step.result >= 0 && step.result < (to_matrix ? program.matrices : program.vectors), "rows: no such register");
  for (int64_t r : {step.a, step.b, step.c})
    require(r >= 0 && r < (from_matrix ? program.matrices : program.vectors), "rows: no such register");
  const bool map = step.kind <= RowsStep::on_vectors;
  const auto op = static_cast<MapOp>(step.op);
  require(!map || (op >= MapOp(0) && op < MapOp::random_uniform), "rows: no such operation");
}

}  // namespace

namespace reference {

static Lane reduced(RowsStep kind, const Lane* lanes, int64_t n) {
  std::vector<float> x(n);
  std::memcpy(x.data(), lanes, n * sizeof(float));
  if (kind == RowsStep::sum) return std::bit_cast<Lane>(sum_of(x.data(), n));
  int64_t best = 0;
  for (int64_t e = 1; e < n; ++e)
    if (!std::isnan(x[best]) && (std::isnan(x[e]) || (kind == RowsStep::minimum ? x[e] < x[best] : x[e] > x[best])))
      best = e;
  return kind == RowsStep::argmax ? static_cast<Lane>(best) : std::bit_cast<Lane>(x[best]);
}

// One row after the other.
void rows(const Call& call) {
  const RowsProgram program(call.args);
  const int64_t columns = program.columns;
  std::vector<std::vector<Lane>> matrix(program.matrices, std::vector<Lane>(columns));
  std::vector<Lane> vector(program.vectors);
  for (int64_t r = 0; r < program.rows; ++r) {
    int64_t operand = 0;
    const auto at = [&](RowsData kind, int64_t c) {
      return kind == RowsData::plain ? r * columns + c : (c / kPanel * program.rows + r) * kPanel + c % kPanel;
    };
    for (int64_t n = 0; n < program.inputs; ++n) {
      const RowsPlace& in = program.input[n];
      const void* data = in.stored() ? call.operands[operand++] : nullptr;
      const auto dtype = static_cast<DType>(in.dtype);
      if (in.kind == RowsData::vector) vector[in.reg] = load(data, dtype, r);
      if (in.kind == RowsData::vector_scalar) vector[in.reg] = load(data, dtype, 0);
      if (in.kind == RowsData::vector_immediate) vector[in.reg] = static_cast<Lane>(in.dtype);
      for (int64_t c = 0; c < columns; ++c) {
        if (in.kind <= RowsData::panels) matrix[in.reg][c] = load(data, dtype, at(in.kind, c));
        if (in.kind == RowsData::row) matrix[in.reg][c] = load(data, dtype, c);
        if (in.kind == RowsData::scalar) matrix[in.reg][c] = load(data, dtype, 0);
        if (in.kind == RowsData::immediate) matrix[in.reg][c] = static_cast<Lane>(in.dtype);
      }
    }
    for (int64_t n = 0; n < program.instructions; ++n) {
      const RowsInstruction& s = program.instruction[n];
      const auto op = static_cast<MapOp>(s.op);
      if (s.kind == RowsStep::on_vectors)
        vector[s.result] = evaluate(op, vector[s.a], vector[s.b], vector[s.c], 0, 0);
      else if (s.kind == RowsStep::on_matrices)
        for (int64_t c = 0; c < columns; ++c)
          matrix[s.result][c] = evaluate(op, matrix[s.a][c], matrix[s.b][c], matrix[s.c][c], 0, 0);
      else if (s.kind == RowsStep::spread)
        std::fill(matrix[s.result].begin(), matrix[s.result].end(), vector[s.a]);
      else
        vector[s.result] = reduced(s.kind, matrix[s.a].data(), columns);
    }
    for (int64_t n = 0; n < program.outputs; ++n) {
      const RowsPlace& out = program.output[n];
      void* data = call.operands[operand++];
      if (out.kind == RowsData::vector) store(data, static_cast<DType>(out.dtype), r, vector[out.reg]);
      for (int64_t c = 0; c < columns && out.kind <= RowsData::panels; ++c)
        store(data, static_cast<DType>(out.dtype), at(out.kind, c), matrix[out.reg][c]);
    }
  }
}

}  // namespace reference

std::vector<size_t> extents::rows(const int64_t* args, size_t count) {
  require(count >= RowsProgram::kHeader, "rows: bad header");
  require(args[0] >= 0 && args[1] > 0 && args[1] <= kMaxColumns, "rows: bad sizes");
  for (int n : {2, 3, 4}) require(args[n] >= 0 && args[n] < 100000, "rows: too long");
  require(args[5] >= 0 && args[5] <= kMaxMatrices && args[6] >= 0 && args[6] <= kMaxVectors,
          "rows: too many registers");
  require(static_cast<int64_t>(count) == RowsProgram::kHeader + 3 * args[2] + 6 * args[3] + 3 * args[4],
          "rows: wrong number of integers");
  const RowsProgram program(args);
  std::vector<size_t> bytes;
  for (int64_t n = 0; n < program.inputs; ++n) {
    check_place(program.input[n], program, RowsData::vector_immediate);
    if (program.input[n].stored()) bytes.push_back(bytes_of(program.input[n], program));
  }
  for (int64_t n = 0; n < program.instructions; ++n) check_step(program.instruction[n], program);
  for (int64_t n = 0; n < program.outputs; ++n) {
    check_place(program.output[n], program, RowsData::vector);
    bytes.push_back(bytes_of(program.output[n], program));
  }
  return bytes;
}

}  // namespace nacre
