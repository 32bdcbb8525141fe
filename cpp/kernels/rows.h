// The integers of `rows`, which runs a program over the rows of matrices: like `map`, and each row can be reduced to
// one number and a number be spread over its row. A softmax with its loss and gradient is one such program.
//
//   args = { rows, columns, inputs, instructions, outputs, matrices, vectors,
//            inputs       x { kind, dtype, register },
//            instructions x { kind, op, result, a, b, c },
//            outputs      x { kind, dtype, register } }
//
// There are two sorts of registers: matrices (some rows of `columns` lanes) and vectors (one lane a row). Inputs and
// outputs:
//   0 a matrix, row-major; 1 a matrix in panels; 2 a vector, one element a row; and for inputs alone, all into a
//   matrix: 3 a row, the same for all; 4 a scalar; 5 an immediate, the dtype being its 32 bits, no operand; 6 and 7 as
//   4 and 5, into a vector.
// Instructions: 0 an instruction of `map` on matrices; 1 on vectors; 2 sum, 3 maximum, 4 minimum, 5 index of the
// maximum of each row, from a matrix into a vector; 6 a vector spread into a matrix.
#pragma once

#include <cstdint>

#include "kernels/panel.h"

namespace nacre {

constexpr int64_t kMaxMatrices = 24, kMaxVectors = 48, kMaxColumns = 512;

enum class RowsData : int64_t { plain, panels, vector, row, scalar, immediate, vector_scalar, vector_immediate };
enum class RowsStep : int64_t { on_matrices, on_vectors, sum, maximum, minimum, argmax, spread };

struct RowsPlace {
  RowsData kind;
  int64_t dtype;
  int64_t reg;

  [[gnu::always_inline]] bool stored() const {
    return kind != RowsData::immediate && kind != RowsData::vector_immediate;
  }
};

struct RowsInstruction {
  RowsStep kind;
  int64_t op, result, a, b, c;
};

struct RowsProgram {
  int64_t rows, columns, inputs, instructions, outputs, matrices, vectors;
  const RowsPlace* input;
  const RowsInstruction* instruction;
  const RowsPlace* output;

  static constexpr int64_t kHeader = 7;

  [[gnu::always_inline]] explicit RowsProgram(const int64_t* args)
      : rows(args[0]),
        columns(args[1]),
        inputs(args[2]),
        instructions(args[3]),
        outputs(args[4]),
        matrices(args[5]),
        vectors(args[6]) {
    input = reinterpret_cast<const RowsPlace*>(args + kHeader);
    instruction = reinterpret_cast<const RowsInstruction*>(args + kHeader + 3 * inputs);
    output = reinterpret_cast<const RowsPlace*>(args + kHeader + 3 * inputs + 6 * instructions);
  }
};

}  // namespace nacre
