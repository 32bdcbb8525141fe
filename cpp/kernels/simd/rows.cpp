// `rows` on vectors: a few rows at a time go through the whole program in the first cache.
#include "kernels/rows.h"

#include "kernels/call.h"
#include "kernels/simd/program.h"
#include "kernels/simd/reduction.h"

namespace nacre::NACRE_ISA_NAMESPACE {

namespace {

constexpr int64_t kMostRows = kLanesOfBlock / kPanel;

struct Storage {
  alignas(64) uint32_t matrices[kMaxMatrices][kLanesOfBlock];
  alignas(64) uint32_t vectors[kMaxVectors][kMostRows];
};

thread_local Storage storage;

struct Rows {
  const RowsProgram& program;
  int64_t stride;  // lanes of a row
  int64_t first, count;

  // Rows first .. first + count - 1 of a matrix, between memory and a register: `move(lanes, index, elements)`.
  template <typename Move>
  void each_row(RowsData kind, const Move& move, uint32_t* lanes) const {
    for (int64_t r = 0; r < count; ++r)
      for (int64_t c = 0; c < program.columns; c += kPanel) {
        const int64_t width = program.columns - c < kPanel ? program.columns - c : kPanel;
        const int64_t plain = (first + r) * program.columns + c,
                      paneled = (c / kPanel * program.rows + first + r) * kPanel;
        move(lanes + r * stride + c, kind == RowsData::plain ? plain : paneled, width);
      }
  }

  void load(const RowsPlace& input, const void* data) const {
    const auto dtype = static_cast<DType>(input.dtype);
    if (input.kind == RowsData::vector) return widen(storage.vectors[input.reg], data, dtype, first, count);
    each_row(
        input.kind, [&](uint32_t* lanes, int64_t at, int64_t n) { widen(lanes, data, dtype, at, n); },
        storage.matrices[input.reg]);
  }

  void save(const RowsPlace& output, void* data) const {
    const auto dtype = static_cast<DType>(output.dtype);
    if (output.kind == RowsData::vector) return narrow(data, dtype, first, storage.vectors[output.reg], count);
    each_row(
        output.kind, [&](uint32_t* lanes, int64_t at, int64_t n) { narrow(data, dtype, at, lanes, n); },
        storage.matrices[output.reg]);
  }

  uint32_t reduced(RowsStep kind, const float* x) const {
    if (kind == RowsStep::argmax) {
      int64_t best = 0;
      for (int64_t e = 1; e < program.columns; ++e)
        if (x[best] == x[best] && (x[e] != x[e] || x[e] > x[best])) best = e;
      return static_cast<uint32_t>(best);
    }
    const float y = kind == RowsStep::sum       ? run<Sum>(x, program.columns)
                    : kind == RowsStep::maximum ? run<Max>(x, program.columns)
                                                : run<Min>(x, program.columns);
    uint32_t bits;
    __builtin_memcpy(&bits, &y, sizeof bits);
    return bits;
  }

  void step(const RowsInstruction& s) const {
    auto* matrices = storage.matrices;
    auto* vectors = storage.vectors;
    const Instruction op = s.kind <= RowsStep::on_vectors ? kInstructions[s.op] : nullptr;
    switch (s.kind) {
      case RowsStep::on_matrices:
        return op({matrices[s.result], matrices[s.a], matrices[s.b], matrices[s.c], count * stride, 0, 0, nullptr});
      case RowsStep::on_vectors:
        return op({vectors[s.result], vectors[s.a], vectors[s.b], vectors[s.c], kMostRows, 0, 0, nullptr});
      case RowsStep::spread:
        for (int64_t r = 0; r < count; ++r) fill(matrices[s.result] + r * stride, vectors[s.a][r], stride);
        return;
      default:
        for (int64_t r = 0; r < count; ++r)
          vectors[s.result][r] = reduced(s.kind, reinterpret_cast<const float*>(matrices[s.a] + r * stride));
    }
  }
};

}  // namespace

void rows(const Call& call) {
  const RowsProgram program(call.args);
  const int64_t stride = panels(program.columns) * kPanel, most = kLanesOfBlock / stride;
  int64_t operand = 0;
  for (int64_t n = 0; n < program.inputs; ++n) {
    const RowsPlace& input = program.input[n];
    const void* data = input.stored() ? call.operands[operand++] : nullptr;
    uint32_t* matrix = storage.matrices[input.reg];
    switch (input.kind) {
      case RowsData::row:
        for (int64_t r = 0; r < most; ++r)
          widen(matrix + r * stride, data, static_cast<DType>(input.dtype), 0, program.columns);
        break;
      case RowsData::scalar:
        fill(matrix, lane_of(data, static_cast<DType>(input.dtype), 0), kLanesOfBlock);
        break;
      case RowsData::immediate:
        fill(matrix, static_cast<uint32_t>(input.dtype), kLanesOfBlock);
        break;
      case RowsData::vector_scalar:
        fill(storage.vectors[input.reg], lane_of(data, static_cast<DType>(input.dtype), 0), kMostRows);
        break;
      case RowsData::vector_immediate:
        fill(storage.vectors[input.reg], static_cast<uint32_t>(input.dtype), kMostRows);
        break;
      default:
        break;
    }
  }
  const int64_t blocks = (program.rows + most - 1) / most;
  for (int64_t block = call.begin(blocks); block < call.end(blocks); ++block) {
    const int64_t first = block * most, left = program.rows - first;
    const Rows some{program, stride, first, left < most ? left : most};
    int64_t next = 0;
    for (int64_t n = 0; n < program.inputs; ++n) {
      const RowsPlace& input = program.input[n];
      const void* data = input.stored() ? call.operands[next++] : nullptr;
      if (input.kind <= RowsData::vector) some.load(input, data);
    }
    for (int64_t n = 0; n < program.instructions; ++n) some.step(program.instruction[n]);
    for (int64_t n = 0; n < program.outputs; ++n) some.save(program.output[n], call.operands[next + n]);
  }
}

}  // namespace nacre::NACRE_ISA_NAMESPACE
