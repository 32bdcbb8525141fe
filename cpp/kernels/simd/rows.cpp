// `rows` on vectors: a few rows at a time go through the whole program in the first cache.
#include "kernels/rows.h"

#include "kernels/call.h"
#include "kernels/simd/program.h"
#include "kernels/simd/reduction.h"

namespace nacre::NACRE_ISA_NAMESPACE {

namespace {

// Rows of narrow matrices lie side by side, one in each lane: a reduction is then one vector operation for each column,
// and nothing is wasted on padding. Rows of wider ones lie one after the other.
constexpr int64_t kSide = 16;
constexpr int64_t kNarrow = kLanesOfBlock / kSide;
static_assert(kNarrow <= 2 * kLanesOfSum);

struct Storage {
  alignas(64) uint32_t matrices[kMaxMatrices][kLanesOfBlock];
  alignas(64) uint32_t vectors[kMaxVectors][kSide];
};

thread_local Storage own_storage;

struct RowBlock {
  const RowsProgram& program;
  Storage& storage;  // to ask where a thread's own lies takes as long as a short instruction
  bool side_by_side;
  int64_t stride;  // lanes of a row, if they lie one after the other
  int64_t first, count;

  // Lanes that are in use.
  int64_t lanes() const { return side_by_side ? program.columns * kSide : count * stride; }

  int64_t place(RowsData kind, int64_t r, int64_t c) const {
    return kind == RowsData::plain ? (first + r) * program.columns + c
                                   : (c / kPanel * program.rows + first + r) * kPanel + c % kPanel;
  }

  // Rows first .. first + count - 1 of a matrix, into a register.
  void fetch(const RowsPlace& input, const void* data) const {
    const auto dtype = static_cast<DType>(input.dtype);
    if (input.kind == RowsData::vector) return widen(storage.vectors[input.reg], data, dtype, first, count);
    uint32_t* lanes = storage.matrices[input.reg];
    if (side_by_side && input.kind == RowsData::panels && item_bytes(dtype) == 4)
      return turn_from(lanes, static_cast<const uint32_t*>(data) + first * kPanel);
    for (int64_t r = 0; r < count; ++r)
      for (int64_t c = 0; c < program.columns; c += kPanel) {
        const int64_t from = place(input.kind, r, c), wide = width(c);
        if (!side_by_side) {
          widen(lanes + r * stride + c, data, dtype, from, wide);
          continue;
        }
        uint32_t row[kPanel];
        widen(row, data, dtype, from, wide);
        for (int64_t e = 0; e < wide; ++e) lanes[e * kSide + r] = row[e];
      }
  }

  // The way back. Panels are filled up with zeros: what lies there must not slow the next kernel down.
  void save(const RowsPlace& output, void* data) const {
    const auto dtype = static_cast<DType>(output.dtype);
    if (output.kind == RowsData::vector) return narrow(data, dtype, first, storage.vectors[output.reg], count);
    const uint32_t* lanes = storage.matrices[output.reg];
    if (side_by_side && output.kind == RowsData::panels && item_bytes(dtype) == 4)
      return turn_to(static_cast<uint32_t*>(data) + first * kPanel, lanes);
    for (int64_t r = 0; r < count; ++r)
      for (int64_t c = 0; c < program.columns; c += kPanel) {
        const int64_t wide = width(c), stored = output.kind == RowsData::panels ? kPanel : wide;
        uint32_t row[kPanel] = {};
        const uint32_t* from = side_by_side || wide < stored ? row : lanes + r * stride + c;
        for (int64_t e = 0; e < wide && side_by_side; ++e) row[e] = lanes[e * kSide + r];
        if (!side_by_side && from == row) copy_lanes(row, lanes + r * stride + c, wide);
        narrow(data, dtype, place(output.kind, r, c), from, stored);
      }
  }

  // Between a panel, row after row, and a register with rows side by side.
  void turn_from(uint32_t* lanes, const uint32_t* panel) const {
    for (int64_t r = 0; r < kSide; r += kLanes)
      for (int64_t c = 0; c < program.columns; c += kLanes) {
        F block[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) block[i] = r + i < count ? load<F>(panel + (r + i) * kPanel + c) : F{};
        transpose<kLanes / 2>(block);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i)
          if (c + i < program.columns) store(lanes + (c + i) * kSide + r, block[i]);
      }
  }

  void turn_to(uint32_t* panel, const uint32_t* lanes) const {
    for (int64_t r = 0; r < kSide; r += kLanes)
      for (int64_t c = 0; c < kPanel; c += kLanes) {
        F block[kLanes] = {};
        if (c < program.columns) {
#pragma GCC unroll 16
          for (int i = 0; i < kLanes; ++i)
            if (c + i < program.columns) block[i] = load<F>(lanes + (c + i) * kSide + r);
          transpose<kLanes / 2>(block);
        }
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i)
          if (r + i < count) store(panel + (r + i) * kPanel + c, block[i]);
      }
  }

  int64_t width(int64_t c) const { return program.columns - c < kPanel ? program.columns - c : kPanel; }

  // A register that is the same for all rows.
  void spread_row(uint32_t* lanes, const void* data, DType dtype) const {
    for (int64_t r = 0; r < kSide && !side_by_side && (r + 1) * stride <= kLanesOfBlock; ++r)
      widen(lanes + r * stride, data, dtype, 0, program.columns);
    for (int64_t c = 0; c < program.columns && side_by_side; ++c)
      fill(lanes + c * kSide, lane_of(data, dtype, c), kSide);
  }

  // A number of each row, in all its lanes.
  void spread(uint32_t* lanes, const uint32_t* numbers) const {
    for (int64_t v = 0; v < kSide && side_by_side; v += kLanes) {
      const U of_rows = load<U>(numbers + v);
      for (int64_t c = 0; c < program.columns; ++c) store(lanes + c * kSide + v, of_rows);
    }
    for (int64_t r = 0; r < count && !side_by_side; ++r) fill(lanes + r * stride, numbers[r], stride);
  }

  // Each row reduced to a number, in the order that kernels/reduction.h fixes: what remains in sum `i` of sixteen when
  // those from `Half` on have been added. A sum of no columns changes nothing.
  template <typename Rule, int Half>
  [[gnu::always_inline]] F folded(const float* x, int64_t i) const {
    if constexpr (Half == kLanesOfSum) {
      const F sum = Rule::join(all(Rule::kStart), load<F>(x + i * kSide));
      return i + Half < program.columns ? Rule::join(sum, load<F>(x + (i + Half) * kSide)) : sum;
    } else {
      const F sum = folded<Rule, 2 * Half>(x, i);
      return i + Half < program.columns ? Rule::join(sum, folded<Rule, 2 * Half>(x, i + Half)) : sum;
    }
  }

  template <typename Rule>
  void reduce(uint32_t* to, const uint32_t* matrix) const {
    const auto* x = reinterpret_cast<const float*>(matrix);
    for (int64_t v = 0; v < kSide && side_by_side; v += kLanes)
      store(to + v, Rule::join(all(Rule::kStart), folded<Rule, 1>(x + v, 0)));
    for (int64_t r = 0; r < count && !side_by_side; ++r) store(to + r, run<Rule>(x + r * stride, program.columns));
  }

  void argmax(uint32_t* to, const uint32_t* matrix) const {
    const auto* x = reinterpret_cast<const float*>(matrix);
    for (int64_t v = 0; v < kSide && side_by_side; v += kLanes) {
      F most = load<F>(x + v);
      I best = {};
      for (int64_t c = 1; c < program.columns; ++c) {
        const F next = load<F>(x + c * kSide + v);
        const I better = (most == most) & ((next != next) | (next > most));
        most = choose(better, next, most);
        best = choose(better, all(static_cast<int32_t>(c)), best);
      }
      store(to + v, best);
    }
    for (int64_t r = 0; r < count && !side_by_side; ++r) {
      const auto at = [row = matrix + r * stride](int64_t c) { return load<float>(row + c); };
      int64_t best = 0;
      for (int64_t c = 1; c < program.columns; ++c)
        if (at(best) == at(best) && (at(c) != at(c) || at(c) > at(best))) best = c;
      to[r] = static_cast<uint32_t>(best);
    }
  }

  void step(const RowsInstruction& s) const {
    auto* matrices = storage.matrices;
    auto* vectors = storage.vectors;
    const Instruction op = s.kind <= RowsStep::on_vectors ? kInstructions[s.op] : nullptr;
    const Place place{s.kind == RowsStep::on_matrices ? lanes() : kSide, 0, 0};
    switch (s.kind) {
      case RowsStep::on_matrices:
        return op({matrices[s.result], matrices[s.a], matrices[s.b], matrices[s.c], &place, nullptr});
      case RowsStep::on_vectors:
        return op({vectors[s.result], vectors[s.a], vectors[s.b], vectors[s.c], &place, nullptr});
      case RowsStep::spread:
        return spread(matrices[s.result], vectors[s.a]);
      case RowsStep::sum:
        return reduce<Sum>(vectors[s.result], matrices[s.a]);
      case RowsStep::maximum:
        return reduce<Max>(vectors[s.result], matrices[s.a]);
      case RowsStep::minimum:
        return reduce<Min>(vectors[s.result], matrices[s.a]);
      case RowsStep::argmax:
        return argmax(vectors[s.result], matrices[s.a]);
    }
  }
};

}  // namespace

void rows(const Call& call) {
  const RowsProgram program(call.args);
  const bool side_by_side = program.columns <= kNarrow;
  const int64_t stride = panels(program.columns) * kPanel, most = side_by_side ? kSide : kLanesOfBlock / stride;
  Storage& storage = own_storage;
  RowBlock block{program, storage, side_by_side, stride, 0, most};
  const int64_t lanes = block.lanes();
  int64_t operand = 0;
  for (int64_t n = 0; n < program.inputs; ++n) {
    const RowsPlace& input = program.input[n];
    const void* data = input.stored() ? call.operands[operand++] : nullptr;
    const auto dtype = static_cast<DType>(input.dtype);
    uint32_t* matrix = storage.matrices[input.reg];
    switch (input.kind) {
      case RowsData::row:
        block.spread_row(matrix, data, dtype);
        break;
      case RowsData::scalar:
        fill(matrix, lane_of(data, dtype, 0), lanes);
        break;
      case RowsData::immediate:
        fill(matrix, static_cast<uint32_t>(input.dtype), lanes);
        break;
      case RowsData::vector_scalar:
        fill(storage.vectors[input.reg], lane_of(data, dtype, 0), kSide);
        break;
      case RowsData::vector_immediate:
        fill(storage.vectors[input.reg], static_cast<uint32_t>(input.dtype), kSide);
        break;
      default:
        break;
    }
  }
  for (block.first = call.begin(program.rows); block.first < call.end(program.rows); block.first += most) {
    const int64_t left = call.end(program.rows) - block.first;
    block.count = left < most ? left : most;
    int64_t next = 0;
    for (int64_t n = 0; n < program.inputs; ++n) {
      const RowsPlace& input = program.input[n];
      const void* data = input.stored() ? call.operands[next++] : nullptr;
      if (input.kind <= RowsData::vector) block.fetch(input, data);
    }
    for (int64_t n = 0; n < program.instructions; ++n) block.step(program.instruction[n]);
    for (int64_t n = 0; n < program.outputs; ++n) block.save(program.output[n], call.operands[next + n]);
  }
}

}  // namespace nacre::NACRE_ISA_NAMESPACE
