// `map`, one element at a time: the truth that the vector versions are compared with. Arithmetic that rounds is done in
// double.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "base/threefry.h"
#include "kernels/extents.h"
#include "kernels/map.h"
#include "kernels/reference/lanes.h"

namespace nacre {

namespace {

using reference::Lane;

float f(Lane x) { return std::bit_cast<float>(x); }
int32_t i(Lane x) { return static_cast<int32_t>(x); }
Lane lane(float x) { return std::bit_cast<Lane>(x); }
Lane lane(double x) { return lane(static_cast<float>(x)); }
Lane lane(int32_t x) { return static_cast<Lane>(x); }
Lane truth(bool x) { return x ? ~0u : 0u; }

}  // namespace

Lane reference::load(const void* data, DType dtype, int64_t index) {
  switch (dtype) {
    case DType::bool8:
      return truth(static_cast<const uint8_t*>(data)[index]);
    case DType::uint8:
      return static_cast<const uint8_t*>(data)[index];
    default:
      break;
  }
  return static_cast<const Lane*>(data)[index];
}

void reference::store(void* data, DType dtype, int64_t index, Lane x) {
  switch (dtype) {
    case DType::bool8:
      static_cast<uint8_t*>(data)[index] = x & 1;
      return;
    case DType::uint8:
      static_cast<uint8_t*>(data)[index] = static_cast<uint8_t>(x);
      return;
    default:
      break;
  }
  static_cast<Lane*>(data)[index] = x;
}

namespace {

int32_t to_integer(float x) {
  // Out of range and NaN give the smallest integer, as the vector instructions do.
  return x >= -2147483648.0f && x < 2147483648.0f ? static_cast<int32_t>(x) : INT32_MIN;
}

float larger(float a, float b) { return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b); }
float smaller(float a, float b) { return std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b); }

namespace steps {
float add(float x, float y) { return x + y; }
float subtract(float x, float y) { return x - y; }
float from(float x, float y) { return y - x; }
float multiply(float x, float y) { return x * y; }
float divide(float x, float y) { return x / y; }
float sqrt(float x, float) { return std::sqrt(x); }
}  // namespace steps

// Number `lane` of a block of 32: the first 16 are the first words of 16 counters, the others the second words.
float uniform(Lane seed, Lane step, Lane stream, int64_t block, int64_t lane) {
  const auto words = threefry(seed, stream, step, static_cast<uint32_t>(block * 16 + lane % 16));
  return static_cast<float>(words[lane / 16] >> 8) * 0x1p-24f;
}

}  // namespace

Lane reference::evaluate(MapOp op, Lane a, Lane b, Lane c, int64_t block, int64_t lane_of_block) {
  const double x = f(a);
  switch (op) {
    case MapOp::neg_float32:
      return lane(-f(a));
    case MapOp::neg_int32:
      return 0u - a;
    case MapOp::abs_float32:
      return lane(std::fabs(f(a)));
    case MapOp::abs_int32:
      return i(a) < 0 ? 0u - a : a;
    case MapOp::sign_float32:
      return lane(std::isnan(x) ? x : double((x > 0) - (x < 0)));
    case MapOp::sign_int32:
      return lane((i(a) > 0) - (i(a) < 0));
    case MapOp::floor_float32:
      return lane(std::floor(f(a)));
    case MapOp::exp_float32:
      return lane(std::exp(x));
    case MapOp::expm1_float32:
      return lane(std::expm1(x));
    case MapOp::log_float32:
      return lane(std::log(x));
    case MapOp::log1p_float32:
      return lane(std::log1p(x));
    case MapOp::sqrt_float32:
      return lane(std::sqrt(f(a)));
    case MapOp::sin_float32:
      return lane(std::sin(x));
    case MapOp::cos_float32:
      return lane(std::cos(x));
    case MapOp::tanh_float32:
      return lane(std::tanh(x));
    case MapOp::sigmoid_float32:
      return lane(1.0 / (1.0 + std::exp(-x)));
    case MapOp::erf_float32:
      return lane(std::erf(x));
    case MapOp::relu_float32:
      return lane(larger(f(a), 0.0f));
    case MapOp::relu_int32:
      return lane(std::max(i(a), 0));
    case MapOp::logical_not_bool:
      return ~a;
    case MapOp::isfinite_float32:
      return truth(std::isfinite(f(a)));
    case MapOp::cast_integer_float32:
      return lane(static_cast<float>(i(a)));
    case MapOp::cast_bool_float32:
      return lane(a ? 1.0f : 0.0f);
    case MapOp::cast_bool_integer:
      return a & 1;
    case MapOp::cast_float32_integer:
      return lane(to_integer(f(a)));
    case MapOp::cast_float32_bool:
      return truth(f(a) != 0);
    case MapOp::cast_integer_bool:
      return truth(a != 0);
    case MapOp::add_float32:
      return lane(f(a) + f(b));
    case MapOp::add_int32:
      return a + b;
    case MapOp::subtract_float32:
      return lane(f(a) - f(b));
    case MapOp::subtract_int32:
      return a - b;
    case MapOp::multiply_float32:
      return lane(f(a) * f(b));
    case MapOp::multiply_int32:
      return a * b;
    case MapOp::divide_float32:
      return lane(f(a) / f(b));
    case MapOp::power_float32:
      return lane(std::pow(x, static_cast<double>(f(b))));
    case MapOp::maximum_float32:
      return lane(larger(f(a), f(b)));
    case MapOp::maximum_int32:
      return lane(std::max(i(a), i(b)));
    case MapOp::minimum_float32:
      return lane(smaller(f(a), f(b)));
    case MapOp::minimum_int32:
      return lane(std::min(i(a), i(b)));
    case MapOp::equal_float32:
      return truth(f(a) == f(b));
    case MapOp::equal_int32:
      return truth(a == b);
    case MapOp::not_equal_float32:
      return truth(f(a) != f(b));
    case MapOp::not_equal_int32:
      return truth(a != b);
    case MapOp::less_float32:
      return truth(f(a) < f(b));
    case MapOp::less_int32:
      return truth(i(a) < i(b));
    case MapOp::less_equal_float32:
      return truth(f(a) <= f(b));
    case MapOp::less_equal_int32:
      return truth(i(a) <= i(b));
    case MapOp::logical_and_bool:
      return a & b;
    case MapOp::logical_or_bool:
      return a | b;
    case MapOp::select:
      return a ? b : c;
    case MapOp::random_uniform:
      return lane(uniform(a, b, c, block, lane_of_block));
#define NACRE_MAP_PAIR(first, second)     \
  case MapOp::first##_##second##_float32: \
    return lane(steps::second(steps::first(f(a), f(b)), f(c)));
#include "kernels/kernels.def"
    case MapOp::kCount:
      break;
  }
  return 0;
}

namespace {

int64_t place(const MapInput& input, int64_t element) {
  switch (input.access) {
    case Access::dense:
      return element;
    case Access::row:
      return element % input.parameter;
    case Access::column:
      return element / input.parameter;
    default:
      return 0;
  }
}

}  // namespace

namespace reference {
void map(const Call& call) {
  const MapProgram program(call.args);
  std::vector<std::array<float, kLanesOfSum>> sums(program.outputs);
  for (int64_t panel = 0; panel < program.panels; ++panel)
    for (int64_t element = 0; element < program.elements; ++element) {
      Lane registers[kMaxRegisters];
      int64_t operand = 0;
      for (int64_t n = 0; n < program.inputs; ++n) {
        const MapInput& input = program.input[n];
        registers[n] = input.access == Access::immediate
                           ? static_cast<Lane>(input.parameter)
                           : load(call.operands[operand++], input.dtype, panel * input.step + place(input, element));
      }
      const int64_t block = random_block(program, panel, element);
      const int64_t lane_of_block = (program.columns ? element % program.columns : element) % 32;
      for (int64_t n = 0; n < program.instructions; ++n) {
        const MapInstruction& step = program.instruction[n];
        registers[step.result] =
            evaluate(step.op, registers[step.a], registers[step.b], registers[step.c], block, lane_of_block);
      }
      for (int64_t n = 0; n < program.outputs; ++n, ++operand) {
        const MapOutput& output = program.output[n];
        const Lane result = registers[output.source];
        if (!output.sum) {
          store(call.operands[operand], output.dtype, panel * program.elements + element, result);
          continue;
        }
        if (element % kChunk == 0) sums[n].fill(0);
        sums[n][element % kLanesOfSum] += counts(program, output, panel, element) ? f(result) : 0;
        if (element + 1 == program.elements || (element + 1) % kChunk == 0)
          static_cast<float*>(call.operands[operand])[panel * program.chunks() + element / kChunk] =
              add_lanes(sums[n].data());
      }
    }
}
}  // namespace reference

// Elements that an input reads.
static int64_t touched(const MapInput& input, int64_t panels, int64_t elements) {
  if (elements == 0 || panels == 0) return 0;
  const int64_t moved = static_cast<int64_t>(product({panels - 1, input.step}));
  switch (input.access) {
    case Access::dense:
      return moved + elements;
    case Access::scalar:
      return moved + 1;
    case Access::row:
      return moved + std::min(elements, input.parameter);
    case Access::column:
      return moved + (elements - 1) / input.parameter + 1;
    default:
      break;
  }
  return 0;
}

std::vector<size_t> extents::map(const int64_t* args, size_t count) {
  constexpr int64_t kHeader = MapProgram::kHeader, kMany = int64_t{1} << 40;
  require(count >= kHeader && args[0] >= 0 && args[0] < kMany && args[1] >= 0 && args[1] < kMany, "map: bad header");
  for (int n : {3, 4, 5}) require(args[n] >= 0 && args[n] < 100000, "map: too long");
  require(args[5] > 0 && args[2] >= 0, "map: bad header");
  require(static_cast<int64_t>(count) == kHeader + 4 * args[3] + 5 * args[4] + 3 * args[5],
          "map: wrong number of integers");
  const MapProgram program(args);
  require(program.registers <= kMaxRegisters && program.inputs <= program.registers, "map: too many registers");
  const auto inside = [&](int64_t r) { require(r >= 0 && r < program.registers, "map: no such register"); };
  std::vector<size_t> bytes;
  for (int64_t n = 0; n < program.inputs; ++n) {
    const MapInput& input = program.input[n];
    require(input.access >= Access::dense && input.access <= Access::product, "map: no such access");
    require(input.dtype >= DType::bool8 && input.dtype <= DType::float32, "map: no such dtype");
    const bool periodic = input.access == Access::row || input.access == Access::column;
    require((!periodic || input.parameter > 0) && input.step >= 0, "map: a period must be positive");
    if (input.stored())
      bytes.push_back(product({touched(input, program.panels, program.elements), item_bytes(input.dtype)}));
  }
  for (int64_t n = 0; n < program.instructions; ++n) {
    const MapInstruction& step = program.instruction[n];
    require(step.op >= MapOp(0) && step.op < MapOp::kCount, "map: no such instruction");
    for (int64_t r : {step.result, step.a, step.b, step.c}) inside(r);
    require(step.result >= program.inputs, "map: an input cannot be overwritten");
  }
  int64_t sums = 0;
  for (int64_t n = 0; n < program.outputs; ++n) {
    const MapOutput& output = program.output[n];
    inside(output.source);
    require(output.dtype >= DType::bool8 && output.dtype <= DType::float32, "map: no such dtype");
    require(output.sum >= 0 && (!output.sum || (output.dtype == DType::float32 && ++sums <= kMaxSums)),
            "map: not a sum");
    bytes.push_back(output.sum ? product({program.panels, program.chunks(), 4})
                               : product({program.panels, program.elements, item_bytes(output.dtype)}));
  }
  return bytes;
}

}  // namespace nacre
