// Runs plans: a whole epoch, or any part of one, in a single call.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "base/pool.h"
#include "runtime/plan.h"

namespace nacre {

struct Column {
  const uint8_t* data;
  int64_t rows;
  int64_t row_bytes;
  bool doubtful = false;  // numbers of type float that may not be finite: a run tells
};

struct Array {
  uint8_t* data;
  int64_t bytes;
};

// Everything a run needs that outlives it.
struct Run {
  std::vector<Array> state;
  std::vector<Column> columns;
  const int64_t* order = nullptr;  // numbers of rows, in the order they are used
  int64_t rows = 0;
  std::vector<Array> schedule;          // 4 bytes per step each
  std::vector<Array> emits;             // filled step after step
  int64_t* done = nullptr;              // if given, counts the steps finished so far; others may watch it
  double* seconds = nullptr;            // if given, the time of each step of the full plan is added up here
  int32_t watch = -1;                   // stop before the update when the first float of this output is not finite
  int64_t first_sample = 0, every = 0;  // which steps are sampled: none, if every is 0
  std::vector<Array> samples;           // filled sampled step after sampled step
};

class Executor {
 public:
  // A plan for full batches, one for the last, shorter one, if there is one, and one for full batches that are sampled:
  // it hands out the same, and then, after the update, the samples.
  Executor(std::shared_ptr<const Plan> full, std::shared_ptr<const Plan> rest, std::shared_ptr<const Plan> sampled,
           int threads);

  // Steps of the full plan.
  size_t steps() const { return full_->steps.size(); }

  // Runs until the rows are used up, `stop` says so (asked every few milliseconds) or the watched output is not finite.
  // Returns whether all numbers met in doubtful columns were finite. The state is that of a whole number of steps in
  // any case.
  bool run(const Run& run, const std::function<bool()>& stop);

 private:
  // A plan, and how the team walks through it.
  struct Way {
    std::shared_ptr<const Plan> plan;
    std::vector<Sharing> sharing;
    std::vector<int> member;  // who does what is done alone; kEach: every one
    std::vector<bool> meet;   // before which steps the members wait for each other
    int64_t report;           // the first step that changes the state: before it, results are handed out
    bool over_data;           // whether vectors run over rows of the data

    Way(std::shared_ptr<const Plan> plan, int parts);
  };
  struct Bound;
  struct Halt;
  void check(const Run& run) const;
  Bound bind(const Way& way, const Run& run, int part) const;
  Ahead ahead_of(const Bound& bound, const Run& run, int64_t next, const Team& team) const;
  void work(const Run& run, const std::function<bool()>& stop, Halt& halt, const Team& team) const;

  std::shared_ptr<const Plan> full_, rest_, sampled_;
  int threads_;  // 1 when no step is worth sharing
  int64_t arena_bytes_ = 0, own_bytes_ = 0;
  std::vector<Way> ways_;  // of the plans that there are
  AlignedBlock arena_;     // and behind it, what is each member's own
};

}  // namespace nacre
