// `map` on vectors: a register program is interpreted once per block of lanes, so that its registers stay in the first
// cache.
#include "base/threefry.h"
#include "kernels/map.h"
#include "kernels/panel.h"
#include "kernels/simd/functions.h"
#include "kernels/simd/program.h"
#include "kernels/simd/vector.h"

namespace nacre::NACRE_ISA_NAMESPACE {

namespace {

template <typename Function>
NACRE_INLINE void each(const Operands& o, Function function) {
  // Copies: as far as a compiler knows, what is stored could be the operands.
  const char *a = static_cast<const char*>(o.a), *b = static_cast<const char*>(o.b), *c = static_cast<const char*>(o.c);
  auto* result = static_cast<char*>(o.result);
  const int64_t bytes = o.place->lanes * 4;
#pragma GCC unroll 4
  for (int64_t i = 0; i < bytes; i += 4 * kLanes) store(result + i, function(a + i, b + i, c + i));
}

// Instructions over floats and over integers, from an expression in a, b and c.
#define NACRE_FLOATS(name, expression)                           \
  void name(const Operands& o) {                                 \
    each(o, [](const void* pa, const void* pb, const void* pc) { \
      [[maybe_unused]] const F a = load<F>(pa), b = load<F>(pb); \
      [[maybe_unused]] const I c = load<I>(pc);                  \
      return expression;                                         \
    });                                                          \
  }
#define NACRE_INTEGERS(name, expression)                                          \
  void name(const Operands& o) {                                                  \
    each(o, [](const void* pa, const void* pb, const void* pc) {                  \
      [[maybe_unused]] const I a = load<I>(pa), b = load<I>(pb), c = load<I>(pc); \
      return expression;                                                          \
    });                                                                           \
  }

NACRE_FLOATS(neg_float32, -a)
NACRE_INTEGERS(neg_int32, minus(I{}, a))
NACRE_FLOATS(abs_float32, abs(a))
NACRE_INTEGERS(abs_int32, choose(a < 0, minus(I{}, a), a))
NACRE_FLOATS(sign_float32, choose(a != a, a, to_float((a < 0.0f) - (a > 0.0f))))
NACRE_INTEGERS(sign_int32, (a < 0) - (a > 0))
NACRE_FLOATS(floor_float32, floor(a))
NACRE_FLOATS(exp_float32, exp(a))
NACRE_FLOATS(expm1_float32, expm1(a))
NACRE_FLOATS(log_float32, log(a))
NACRE_FLOATS(log1p_float32, log1p(a))
NACRE_FLOATS(sqrt_float32, sqrt(a))
NACRE_FLOATS(sin_float32, sin(a))
NACRE_FLOATS(cos_float32, cos(a))
NACRE_FLOATS(tanh_float32, tanh(a))
NACRE_FLOATS(sigmoid_float32, sigmoid(a))
NACRE_FLOATS(erf_float32, erf(a))
NACRE_FLOATS(relu_float32, larger(a, all(0.0f)))
NACRE_INTEGERS(relu_int32, choose(a > 0, a, all(0)))
NACRE_INTEGERS(logical_not_bool, ~a)
NACRE_FLOATS(isfinite_float32, (I)(abs(a) < __builtin_inff()))
NACRE_INTEGERS(cast_integer_float32, to_float(a))
NACRE_INTEGERS(cast_bool_float32, as_float(a & 0x3f800000))
NACRE_INTEGERS(cast_bool_integer, a & 1)
NACRE_FLOATS(cast_float32_integer, choose((a >= -2147483648.0f) & (a < 2147483648.0f), to_int(a), all(INT32_MIN)))
NACRE_FLOATS(cast_float32_bool, (I)(a != 0.0f))
NACRE_INTEGERS(cast_integer_bool, (I)(a != 0))
NACRE_FLOATS(add_float32, a + b)
NACRE_INTEGERS(add_int32, plus(a, b))
NACRE_FLOATS(subtract_float32, a - b)
NACRE_INTEGERS(subtract_int32, minus(a, b))
NACRE_FLOATS(multiply_float32, a* b)
NACRE_INTEGERS(multiply_int32, times(a, b))
NACRE_FLOATS(divide_float32, a / b)
NACRE_FLOATS(power_float32, power(a, b))
NACRE_FLOATS(maximum_float32, larger(a, b))
NACRE_INTEGERS(maximum_int32, choose(a > b, a, b))
NACRE_FLOATS(minimum_float32, smaller(a, b))
NACRE_INTEGERS(minimum_int32, choose(a < b, a, b))
NACRE_FLOATS(equal_float32, (I)(a == b))
NACRE_INTEGERS(equal_int32, (I)(a == b))
NACRE_FLOATS(not_equal_float32, (I)(a != b))
NACRE_INTEGERS(not_equal_int32, (I)(a != b))
NACRE_FLOATS(less_float32, (I)(a < b))
NACRE_INTEGERS(less_int32, (I)(a < b))
NACRE_FLOATS(less_equal_float32, (I)(a <= b))
NACRE_INTEGERS(less_equal_int32, (I)(a <= b))
NACRE_INTEGERS(logical_and_bool, a& b)
NACRE_INTEGERS(logical_or_bool, a | b)
NACRE_INTEGERS(select, choose(a != 0, b, c))

namespace steps {
NACRE_INLINE F add(F x, F y) { return x + y; }
NACRE_INLINE F subtract(F x, F y) { return x - y; }
NACRE_INLINE F from(F x, F y) { return y - x; }
NACRE_INLINE F multiply(F x, F y) { return x * y; }
NACRE_INLINE F divide(F x, F y) { return x / y; }
NACRE_INLINE F sqrt(F x, F) { return NACRE_ISA_NAMESPACE::sqrt(x); }
}  // namespace steps

#define NACRE_MAP_PAIR(first, second) \
  NACRE_FLOATS(first##_##second##_float32, steps::second(steps::first(a, b), as_float(c)))
#include "kernels/kernels.def"

// Blocks of 32 numbers: the first 16 are the first words of 16 counters, the others the second words.
void random_uniform(const Operands& o) {
  const MapProgram& program = *o.program;
  const int64_t lanes = o.place->lanes, first = o.place->first, panel = o.place->panel;
  const U seed = load<U>(o.a), step = load<U>(o.b), stream = load<U>(o.c);
  U lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  const auto uniform = [](U word) { return to_float((I)(word >> 8)) * 0x1p-24f; };
  auto* result = static_cast<float*>(o.result);
  const auto counter_at = [&](int64_t i) { return static_cast<uint32_t>(random_block(program, panel, i) * 16); };
  int64_t at = 0;
  // In panels, and in rows that are a multiple of 32, blocks of lanes are blocks of numbers. Each is a long chain:
  // several at once keep the processor busy.
  constexpr int64_t kAtOnce = 4;
  if (program.columns % 32 == 0 && first % 32 == 0)
    for (; at + 32 * kAtOnce <= lanes; at += 32 * kAtOnce)
      for (int64_t v = 0; v < 16; v += kLanes) {
        std::array<U, 2> words[kAtOnce];
#pragma GCC unroll 4
        for (int64_t n = 0; n < kAtOnce; ++n)
          words[n] =
              threefry<U>(seed, stream, step, lane + (counter_at(first + at + 32 * n) + static_cast<uint32_t>(v)));
#pragma GCC unroll 4
        for (int64_t n = 0; n < kAtOnce; ++n) {
          store(result + at + 32 * n + v, uniform(words[n][0]));
          store(result + at + 32 * n + 16 + v, uniform(words[n][1]));
        }
      }
  // Else each block is cut to its row.
  while (at < lanes) {
    const int64_t i = first + at, column = program.columns ? i % program.columns : 0, inside = column % 32;
    float block[32];
    for (int64_t v = 0; v < 16; v += kLanes) {
      const auto words = threefry<U>(seed, stream, step, lane + (counter_at(i) + static_cast<uint32_t>(v)));
      store(block + v, uniform(words[0]));
      store(block + 16 + v, uniform(words[1]));
    }
    int64_t count = 32 - inside;
    if (program.columns && count > program.columns - column) count = program.columns - column;
    if (count > lanes - at) count = lanes - at;
    __builtin_memcpy(result + at, block + inside, count * sizeof(float));
    at += count;
  }
}

}  // namespace

const Instruction kInstructions[] = {
#define NACRE_MAP_OP(name) name,
#include "kernels/kernels.def"
};

namespace {

thread_local Registers storage;

// The lanes of an input for elements first .. first + count - 1: in place where memory already looks like a register.
const uint32_t* fetch(uint32_t* lanes, const MapInput& input, const void* data, int64_t first, int64_t count) {
  const bool wide = item_bytes(input.dtype) == 4;
  if (input.access == Access::dense) {
    if (wide && count % kLanesOfSum == 0) return static_cast<const uint32_t*>(data) + first;
    widen(lanes, data, input.dtype, first, count);
  } else if (input.access == Access::row) {
    const int64_t begin = first % input.parameter;
    if (wide && count % kLanesOfSum == 0 && begin + count <= input.parameter)
      return static_cast<const uint32_t*>(data) + begin;
    for (int64_t done = 0, at = begin; done < count; at = 0) {
      const int64_t run = input.parameter - at < count - done ? input.parameter - at : count - done;
      widen(lanes + done, data, input.dtype, at, run);
      done += run;
    }
  } else {
    for (int64_t done = 0; done < count;) {
      const int64_t index = (first + done) / input.parameter, left = (index + 1) * input.parameter - first - done;
      const int64_t run = left < count - done ? left : count - done;
      fill(lanes + done, lane_of(data, input.dtype, index), run);
      done += run;
    }
  }
  return lanes;
}

// Element e of a block is added to lane e % 16; what does not count, as 0. Blocks of panels are whole rows of 32.
NACRE_INLINE void add(F* to, const uint32_t* lanes, const MapProgram& program, const MapOutput& output, int64_t panel,
                      int64_t count) {
  constexpr int64_t kVectors = kLanesOfSum / kLanes;
  F sum[kVectors];
  for (int64_t v = 0; v < kVectors; ++v) sum[v] = to[v];
  int64_t e = 0;
  if (counts(program, output, panel, kPanel - 1)) {
    for (; e + kLanesOfSum <= count; e += kLanesOfSum)
      for (int64_t v = 0; v < kVectors; ++v) sum[v] = sum[v] + load<F>(lanes + e + v * kLanes);
  } else {
    constexpr int64_t kVectorsOfRow = kPanel / kLanes;
    I counted[kVectorsOfRow];
    for (int64_t c = 0; c < kPanel; ++c) counted[c / kLanes][c % kLanes] = -(c < output.sum);
    for (; e < count; e += kPanel)
      for (int64_t v = 0; v < kVectorsOfRow; ++v)
        sum[v % kVectors] = sum[v % kVectors] + as_float(load<I>(lanes + e + v * kLanes) & counted[v]);
  }
  if (e < count) {
    float part[kLanesOfSum] = {};
    __builtin_memcpy(part, lanes + e, (count - e) * sizeof(float));
    for (int64_t v = 0; v < kVectors; ++v) sum[v] = sum[v] + load<F>(part + v * kLanes);
  }
  for (int64_t v = 0; v < kVectors; ++v) to[v] = sum[v];
}

}  // namespace

// new_mean = mean + (gradient - mean) mean_share, new_square likewise, new_weight = weight - rate new_mean /
// (sqrt(new_square) + epsilon), and nothing else comes out. What the program does besides comes before, and reads
// nothing of this.
Adam::Adam(const MapProgram& program) {
  uint64_t found = 0;
  const auto find = [&](int64_t result, MapOp op) {
    static constexpr MapInstruction kNothing = {MapOp::kCount, -1, -1, -1, -1};
    for (int64_t n = program.instructions - 1; n >= 0; --n)
      if (program.instruction[n].result == result) {
        found |= uint64_t(1) << n;
        return program.instruction[n].op == op ? program.instruction[n] : kNothing;
      }
    return kNothing;
  };
  const int64_t last = program.instructions - 1;
  if (last < 6 || program.instruction[last].op != MapOp::divide_from_float32) return;
  const MapInstruction division = find(program.instruction[last].result, MapOp::divide_from_float32);
  const MapInstruction scaled = find(division.a, MapOp::multiply_float32);
  const MapInstruction root = find(division.b, MapOp::sqrt_add_float32);
  const MapInstruction moved = find(scaled.b, MapOp::add_float32);
  const MapInstruction change = find(moved.b, MapOp::subtract_multiply_float32);
  const MapInstruction square_moved = find(root.a, MapOp::multiply_add_float32);
  const MapInstruction square_change = find(square_moved.a, MapOp::multiply_subtract_float32);
  gradient = change.a, mean = moved.a, mean_share = change.c, new_mean = moved.result;
  square = square_moved.c, square_share = square_moved.b, new_square = square_moved.result;
  epsilon = root.c, rate = scaled.a, weight = division.c, new_weight = division.result;
  if (change.b != mean || square_change.a != gradient || square_change.b != gradient || square_change.c != square)
    return;
  for (int64_t same : {mean_share, square_share, epsilon, rate})
    if (same < 0 || same >= program.inputs ||
        (program.input[same].access != Access::scalar && program.input[same].access != Access::immediate))
      return;
  uint64_t made = 0, read = 0;  // registers: of the rule, and by what is no part of it
  for (int64_t n = 0; n < program.instructions; ++n) {
    const MapInstruction& step = program.instruction[n];
    if (found >> n & 1)
      made |= uint64_t(1) << step.result;
    else
      read |= uint64_t(1) << step.a | uint64_t(1) << step.b | uint64_t(1) << step.c;
  }
  for (int64_t given : {gradient, mean, square, weight}) read |= uint64_t(1) << given;
  if (made & read) return;
  for (int64_t o = 0; o < program.outputs; ++o) {
    const int64_t source = program.output[o].source;
    if (source != new_mean && source != new_square && source != new_weight) return;
  }
  steps = found;
}

void Running::update(int64_t lanes) const {
  const auto from = [&](int64_t n) { return static_cast<const float*>(at[n]); };
  const auto to = [&](int64_t n) { return static_cast<float*>(const_cast<void*>(at[n])); };
  const float *gradients = from(adam.gradient), *means = from(adam.mean), *squares = from(adam.square);
  const float* weights = from(adam.weight);
  float *new_means = to(adam.new_mean), *new_squares = to(adam.new_square), *new_weights = to(adam.new_weight);
  const F mean_share = load<F>(from(adam.mean_share)), square_share = load<F>(from(adam.square_share));
  const F epsilon = load<F>(from(adam.epsilon)), rate = load<F>(from(adam.rate));
  for (int64_t i = 0; i < lanes; i += kLanes) {
    const F g = load<F>(gradients + i), m = load<F>(means + i), v = load<F>(squares + i), w = load<F>(weights + i);
    const F new_mean = m + (g - m) * mean_share, new_square = (g * g - v) * square_share + v;
    store(new_means + i, new_mean);
    store(new_squares + i, new_square);
    store(new_weights + i, w - rate * new_mean / (sqrt(new_square) + epsilon));
  }
}

Running::Running(const int64_t* args, void* const* given)
    : program(args), adam(program), registers(storage.lanes), operands(given) {
  int64_t operand = 0;
  const int64_t most = program.elements < kLanesOfBlock ? (program.elements + 15) / 16 * 16 : kLanesOfBlock;
  for (int64_t n = 0; n < program.registers; ++n) at[n] = registers[n];
  for (int64_t n = 0; n < program.inputs; ++n) {
    const MapInput& input = program.input[n];
    data[n] = input.stored() ? operands[operand++] : nullptr;
    row[n] = nullptr;
    if (input.access == Access::immediate) fill(registers[n], static_cast<uint32_t>(input.parameter), most);
    if (input.access == Access::scalar && program.elements) fill(registers[n], lane_of(data[n], input.dtype, 0), most);
  }
  operands += operand;
  bool moves_on[kMaxRegisters] = {};
  for (int64_t n = 0; n < program.inputs; ++n)
    if (program.input[n].access != Access::scalar && program.input[n].access != Access::immediate)
      moves_on[moving[moves++] = n] = true;
  // A result goes straight to its place, unless what lies there is read once more.
  for (int64_t n = 0; n < program.instructions; ++n) {
    const MapInstruction& step = program.instruction[n];
    for (int64_t o = 0; o < program.outputs; ++o) {
      const MapOutput& output = program.output[o];
      if (output.source == step.result && item_bytes(output.dtype) == 4 && !output.sum && !moves_on[step.result] &&
          !read_after(n, operands[o])) {
        stored[stores++] = {n, o};
        moves_on[step.result] = true;
      }
    }
    prepared[n] = {registers[step.result], at[step.a], at[step.b], at[step.c], &place, &program};
    for (const Reader& reader :
         {Reader{&prepared[n].a, step.a}, Reader{&prepared[n].b, step.b}, Reader{&prepared[n].c, step.c}})
      if (moves_on[reader.moving]) readers[reads++] = reader;
  }
}

bool Running::read_after(int64_t n, const void* there) const {
  for (int64_t later = n + 1; later < program.instructions; ++later) {
    const MapInstruction& step = program.instruction[later];
    for (int64_t r : {step.a, step.b, step.c})
      if (r < program.inputs && data[r] == there) return true;
  }
  for (int64_t o = 0; o < program.outputs; ++o)
    if (program.output[o].source < program.inputs && data[program.output[o].source] == there) return true;
  return false;
}

void Running::block(int64_t panel, int64_t first, int64_t count, const float* product) {
  const int64_t start = panel * program.elements + first, lanes = (count + 15) / 16 * 16;
  place = {lanes, first, panel};
  for (int64_t m = 0; m < moves; ++m) {
    const int64_t n = moving[m];
    const MapInput& input = program.input[n];
    if (input.access == Access::product) {
      at[n] = product;
      continue;
    }
    const void* from = static_cast<const char*>(data[n]) + panel * input.step * item_bytes(input.dtype);
    // All blocks of a panel repeat the same row: it is written out once. (No instruction writes to an input.)
    const bool repeats = input.access == Access::row && count == kLanesOfBlock &&
                         kLanesOfBlock % input.parameter == 0 && first % input.parameter == 0;
    if (repeats && row[n] == from) continue;
    at[n] = fetch(registers[n], input, from, first, count);
    row[n] = repeats ? from : nullptr;
  }
  for (int64_t s = 0; s < stores; ++s) {
    const auto [n, output] = stored[s];
    const int64_t result = program.instruction[n].result;
    prepared[n].result = count == lanes ? static_cast<uint32_t*>(operands[output]) + start : registers[result];
    at[result] = prepared[n].result;
  }
  for (int64_t r = 0; r < reads; ++r) *readers[r].operand = at[readers[r].moving];
  for (int64_t n = 0; n < program.instructions; ++n)
    if (!(adam.steps >> n & 1)) kInstructions[static_cast<int64_t>(program.instruction[n].op)](prepared[n]);
  if (adam.steps) update(lanes);
  F(*sum)[kLanesOfSum / kLanes] = sums;
  for (int64_t n = 0; n < program.outputs; ++n) {
    const MapOutput& output = program.output[n];
    const auto* result = static_cast<const uint32_t*>(at[output.source]);
    if (output.sum)
      add(*sum++, result, program, output, panel, count);
    else
      narrow(operands[n], output.dtype, start, result, count);
  }
}

void Running::chunks(int64_t first_chunk, int64_t last_chunk) {
  for (int64_t chunk = first_chunk; chunk < last_chunk; ++chunk) {
    for (auto& sum : sums)
      for (F& lanes : sum) lanes = all(0.0f);
    const int64_t panel = chunk / program.chunks(), begin = chunk % program.chunks() * kChunk;
    const int64_t end = begin + kChunk < program.elements ? begin + kChunk : program.elements;
    for (int64_t at_element = begin; at_element < end; at_element += kLanesOfBlock)
      block(panel, at_element, end - at_element < kLanesOfBlock ? end - at_element : kLanesOfBlock, nullptr);
    for (int64_t n = 0, k = 0; n < program.outputs; ++n) {
      if (!program.output[n].sum) continue;
      float lanes[kLanesOfSum];
      __builtin_memcpy(lanes, sums[k++], sizeof lanes);
      static_cast<float*>(operands[n])[chunk] = add_lanes(lanes);
    }
  }
}

void map(const Call& call) {
  Running running(call.args, call.operands);
  if (running.program.sums()) {
    const int64_t chunks = running.program.panels * running.program.chunks();
    return running.chunks(call.begin(chunks), call.end(chunks));
  }
  const int64_t count = running.program.panels, elements = running.program.elements;
  const auto run = [&](int64_t panel, int64_t first, int64_t last) {
    for (; first < last; first += kLanesOfBlock)
      running.block(panel, first, last - first < kLanesOfBlock ? last - first : kLanesOfBlock, nullptr);
  };
  if (call.sharing == Sharing::rows) {
    const int64_t width = elements / call.rows;
    for (int64_t panel = 0; panel < count; ++panel)
      run(panel, call.begin(call.rows) * width, call.end(call.rows) * width);
  } else if (call.sharing == Sharing::panels && count > 1) {
    for (int64_t panel = call.begin(count); panel < call.end(count); ++panel) run(panel, 0, elements);
  } else if (call.sharing == Sharing::panels) {
    const int64_t last = call.end(panels(elements)) * kPanel;
    run(0, call.begin(panels(elements)) * kPanel, last < elements ? last : elements);
  } else {
    const int64_t blocks = (elements + kLanesOfBlock - 1) / kLanesOfBlock, last = call.end(count * blocks);
    for (int64_t block = call.begin(count * blocks); block < last; ++block) {
      const int64_t first = block % blocks * kLanesOfBlock;
      run(block / blocks, first, elements - first < kLanesOfBlock ? elements : first + kLanesOfBlock);
    }
  }
}

}  // namespace nacre::NACRE_ISA_NAMESPACE
