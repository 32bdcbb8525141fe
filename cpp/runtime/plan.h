// A plan: the flat list of kernel calls of one step of a program, over numbered buffers. It arrives from Python as
// arrays of integers, and every index and size in it is checked here, before the first step, and never again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/memory.h"
#include "kernels/call.h"

namespace nacre {

// Where a buffer lives.
//   arena     at a byte offset of the executor's scratch memory
//   constant  at a byte offset of the plan's constants
//   state     the index-th array of the state: weights, slots, statistics; outlives the run
//   batch     the index-th column of the data: the rows of this step, to be gathered
//   schedule  the index-th list of numbers, one per step: learning rate, step number
//   own       at a byte offset of what each member of the team has for itself: each does the steps that write there
enum class Place : int64_t { arena, constant, state, batch, schedule, own };

struct Buffer {
  Place place;
  int64_t at;  // offset in bytes, or index
  int64_t bytes;
};

struct Step {
  Kernel kernel;
  int32_t name;
  Sharing sharing;
  int32_t results;          // how many of the operands, the last ones, are written
  std::vector<bool> whole;  // of each operand, whether a step shared by rows or panels looks beyond its own
  std::vector<int32_t> operands;
  std::vector<int64_t> args;
};

// Of how many panels the operands of a step are that can be shared by them; 0 for any other step.
int64_t panels_of(const Step& step);

// What is handed out after the step: the first bytes of a buffer.
struct Emit {
  int32_t buffer;
  int64_t bytes;
};

struct Plan {
  int64_t rows = 0;  // of the batch
  int64_t arena_bytes = 0, own_bytes = 0;
  // Steps before this one must leave the state alone. Where the first one does not, the executor looks: until then a
  // run can stop, and has lost nothing.
  int64_t first_update = 0;
  int64_t together = 0;  // batches of a run from which on it is worth waking other threads for it
  std::vector<Buffer> buffers;
  std::vector<Step> steps;
  std::vector<Emit> emits;
  std::vector<uint8_t> constants;
  std::vector<int64_t> batch_bytes;  // per column, of one row

  // Whether every member of the team does a step for itself.
  bool by_each(const Step& step) const;

  // Throws Error on the first thing that does not fit.
  void check() const;
};

}  // namespace nacre
