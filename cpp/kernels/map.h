// The integers of `map`, which runs a register program over all elements, one block of lanes at a time.
//
//   args = { panels, elements, columns, inputs, instructions, outputs, registers,
//            inputs       x { access, dtype, parameter, step },
//            instructions x { op, result, a, b, c },
//            outputs      x { register, dtype, sum } }
//
// `elements` are those of one panel; a value that does not lie in panels is one panel. `columns` is the length of a
// row, 0 in panels: only random numbers need it. Registers 0 .. inputs-1 are the inputs. Access: 0 dense; 1 scalar; 2
// row, element i reads i % parameter; 3 column, element i reads i / parameter; 4 immediate, the parameter's low 32 bits
// in every lane, no operand. From one panel to the next an input moves on by `step`.
//
// With `sum` = 0 all elements of an output are stored. Otherwise the float32 elements of each chunk of a panel are
// added up, as kernels/reduction.h says, and it is these sums that are stored, panel after panel; `sum` is then the
// number of columns of the last panel that count.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "kernels/call.h"
#include "kernels/reduction.h"

namespace nacre {

constexpr int64_t kMaxRegisters = 32, kMaxSums = 8;

enum class Access : int64_t { dense, scalar, row, column, immediate, product };
enum class DType : int64_t { bool8, uint8, int32, uint32, float32 };

[[gnu::always_inline]] inline int64_t item_bytes(DType dtype) {
  return dtype == DType::bool8 || dtype == DType::uint8 ? 1 : 4;
}

enum class MapOp : int64_t {
#define NACRE_MAP_OP(name) name,
#include "kernels/kernels.def"
  kCount
};

struct MapInput {
  Access access;
  DType dtype;
  int64_t parameter, step;

  [[gnu::always_inline]] bool stored() const { return access < Access::immediate; }
};

struct MapInstruction {
  MapOp op;
  int64_t result, a, b, c;
};

struct MapOutput {
  int64_t source;
  DType dtype;
  int64_t sum;
};

// A view of the integers; they are laid out like the structs.
struct MapProgram {
  int64_t panels, elements, columns, inputs, instructions, outputs, registers;
  const MapInput* input;
  const MapInstruction* instruction;
  const MapOutput* output;

  static constexpr int64_t kHeader = 7;

  [[gnu::always_inline]] explicit MapProgram(const int64_t* args)
      : panels(args[0]),
        elements(args[1]),
        columns(args[2]),
        inputs(args[3]),
        instructions(args[4]),
        outputs(args[5]),
        registers(args[6]) {
    input = reinterpret_cast<const MapInput*>(args + kHeader);
    instruction = reinterpret_cast<const MapInstruction*>(args + kHeader + 4 * inputs);
    output = reinterpret_cast<const MapOutput*>(args + kHeader + 4 * inputs + 5 * instructions);
  }

  [[gnu::always_inline]] bool sums() const {
    for (int64_t n = 0; n < outputs; ++n)
      if (output[n].sum) return true;
    return false;
  }

  [[gnu::always_inline]] int64_t chunks() const { return (elements + kChunk - 1) / kChunk; }  // of a panel
};

// Whether an element of a panel counts in a sum.
[[gnu::always_inline]] inline bool counts(const MapProgram& program, const MapOutput& output, int64_t panel,
                                          int64_t element) {
  return panel + 1 < program.panels || program.columns || element % 32 < output.sum;
}

// Where random numbers come from: element i of a panel is in this block of 32 of its row, counted through all rows.
[[gnu::always_inline]] inline int64_t random_block(const MapProgram& program, int64_t panel, int64_t i) {
  if (program.columns == 0) return i / 32 * program.panels + panel;
  return i / program.columns * ((program.columns + 31) / 32) + i % program.columns / 32;
}

}  // namespace nacre
