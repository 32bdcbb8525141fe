// The integers of `map`, which runs a register program over all elements, one block of lanes at a time.
//
//   args = { elements, inputs, instructions, outputs, registers,
//            inputs       x { access, dtype, parameter },
//            instructions x { op, result, a, b, c },
//            outputs      x { register, dtype } }
//
// Registers 0 .. inputs-1 are the inputs. Access: 0 dense; 1 scalar; 2 row, element i reads i % parameter; 3 column,
// element i reads i / parameter; 4 immediate, the parameter's low 32 bits in every lane, no operand.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "kernels/call.h"

namespace nacre {

constexpr int64_t kMaxRegisters = 32;

enum class Access : int64_t { dense, scalar, row, column, immediate };
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
  int64_t parameter;
};

struct MapInstruction {
  MapOp op;
  int64_t result, a, b, c;
};

struct MapOutput {
  int64_t source;
  DType dtype;
};

// A view of the integers; they are laid out like the structs.
struct MapProgram {
  int64_t elements, inputs, instructions, outputs, registers;
  const MapInput* input;
  const MapInstruction* instruction;
  const MapOutput* output;

  [[gnu::always_inline]] explicit MapProgram(const int64_t* args)
      : elements(args[0]), inputs(args[1]), instructions(args[2]), outputs(args[3]), registers(args[4]) {
    input = reinterpret_cast<const MapInput*>(args + 5);
    instruction = reinterpret_cast<const MapInstruction*>(args + 5 + 3 * inputs);
    output = reinterpret_cast<const MapOutput*>(args + 5 + 3 * inputs + 5 * instructions);
  }
};

// Elements of an input that a program over `elements` reads.
[[gnu::always_inline]] inline int64_t touched(const MapInput& input, int64_t elements) {
  if (elements == 0) return 0;
  switch (input.access) {
    case Access::dense:
      return elements;
    case Access::scalar:
      return 1;
    case Access::row:
      return elements < input.parameter ? elements : input.parameter;
    case Access::column:
      return (elements - 1) / input.parameter + 1;
    case Access::immediate:
      break;
  }
  return 0;
}

}  // namespace nacre
