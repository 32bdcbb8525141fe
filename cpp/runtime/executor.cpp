#include "runtime/executor.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/pool.h"

namespace nacre {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::milliseconds(20);  // how long a run goes on without asking whether to stop

// The rows of a step, one after the other; this member's share of them.
void gather(const Column& column, const int64_t* order, int64_t rows, uint8_t* to, const Team& team) {
  for (int64_t i = rows * team.part / team.parts; i < rows * (team.part + 1) / team.parts; ++i)
    std::memcpy(to + i * column.row_bytes, column.data + order[i] * column.row_bytes, column.row_bytes);
}

// Steps first .. last - 1. Between two of them the members wait for each other unless both are done by one member
// alone; when time is taken, after each. Member 0 asks `stop` now and then; when it says so, it notes at which meeting
// all leave. A mere flag would not do: one that is late for a meeting could see it raised for the next, and leave
// alone.
struct Walk {
  const Plan& plan;
  void* const* operands;
  const std::vector<size_t>& begins;
  double* seconds;
  const Team& team;

  template <typename Stop>
  void steps(int64_t first, int64_t last, std::atomic<int64_t>& leave_at, const Stop& stop) const {
    Clock::time_point before = seconds ? Clock::now() : Clock::time_point();
    for (int64_t n = first; n < last; ++n) {
      const Step& step = plan.steps[n];
      if (step.shared)
        step.kernel({operands + begins[n], step.args.data(), team.part, team.parts});
      else if (team.part == 0)
        step.kernel({operands + begins[n], step.args.data()});
      const bool meet = n + 1 < last && (step.shared || plan.steps[n + 1].shared);
      if (meet && team.part == 0 && stop()) leave_at.store(n);
      if (seconds || meet) team.wait();
      if (meet && leave_at.load() <= n) return;
      if (seconds && team.part == 0) {
        const auto now = Clock::now();
        seconds[n] += std::chrono::duration<double>(now - before).count();
        before = now;
      }
    }
  }
};

}  // namespace

// Whether a run ends early: at once for all (`now`, written between two meetings), or at a meeting between two steps.
struct Executor::Halt {
  static constexpr int64_t kNever = INT64_MAX;
  bool now = false;
  std::atomic<int64_t> leave_at{kNever};
};

// A plan with its numbers turned into addresses.
struct Executor::Bound {
  const Plan* plan;
  std::vector<void*> operands;                        // of all steps, one after the other
  std::vector<std::pair<void**, int64_t>> scheduled;  // operand, schedule
  std::vector<void*> buffers;
  std::vector<size_t> begins;  // of each step's operands
};

Executor::Executor(std::shared_ptr<const Plan> full, std::shared_ptr<const Plan> rest, int threads)
    : full_(std::move(full)), rest_(std::move(rest)), threads_(1) {
  require(full_ != nullptr, "An executor needs a plan.");
  int64_t bytes = 0;
  std::vector<int64_t> columns;
  for (const auto& plan : {full_, rest_}) {
    if (!plan) continue;
    plan->check();
    bytes = std::max(bytes, plan->arena_bytes);
    for (const Step& step : plan->steps)
      if (step.shared) threads_ = threads;
    columns.resize(std::max(columns.size(), plan->batch_bytes.size()));
    for (size_t c = 0; c < plan->batch_bytes.size(); ++c)
      columns[c] = std::max(columns[c], plan->rows * plan->batch_bytes[c]);
  }
  arena_ = allocate(bytes);
  for (int64_t column : columns) batch_.push_back(allocate(column));
}

void Executor::check(const Run& run) const {
  const int64_t steps = run.rows / full_->rows, left = run.rows - steps * full_->rows;
  require(run.rows >= 0 && run.done, "A run needs rows and a counter.");
  require(left == 0 || (rest_ && rest_->rows == left), "The rows are no whole number of batches.");
  const int64_t total = steps + (left > 0);
  for (const Array& numbers : run.schedule) require(numbers.bytes >= 4 * total, "A schedule is shorter than the run.");
  for (const Column& column : run.columns)
    for (int64_t i = 0; i < run.rows; ++i)
      require(run.order[i] >= 0 && run.order[i] < column.rows,
              "Row " + std::to_string(run.order[i]) + " does not exist.");
  std::vector<int64_t> written(run.emits.size());
  for (const auto& [plan, times] : {std::pair{full_, steps}, std::pair{rest_, int64_t(left > 0)}}) {
    if (!times) continue;
    require(plan->emits.size() == run.emits.size(), "The run and the plan differ in outputs.");
    require(run.watch < static_cast<int64_t>(run.emits.size()), "The watched output does not exist.");
    if (run.watch >= 0) require(plan->emits[run.watch].bytes >= 4, "The watched output is empty.");
    for (size_t e = 0; e < run.emits.size(); ++e) written[e] += times * plan->emits[e].bytes;
    for (const Buffer& buffer : plan->buffers) {
      if (buffer.place == Place::state)
        require(buffer.at < static_cast<int64_t>(run.state.size()) && run.state[buffer.at].bytes == buffer.bytes,
                "The state does not fit the plan.");
      if (buffer.place == Place::schedule)
        require(buffer.at < static_cast<int64_t>(run.schedule.size()), "A schedule is missing.");
      if (buffer.place == Place::batch)
        require(buffer.at < static_cast<int64_t>(run.columns.size()) &&
                    run.columns[buffer.at].row_bytes == plan->batch_bytes[buffer.at],
                "The data does not fit the plan.");
    }
  }
  for (size_t e = 0; e < run.emits.size(); ++e)
    require(written[e] <= run.emits[e].bytes, "There is no room for an output.");
}

Executor::Bound Executor::bind(const Plan& plan, const Run& run) {
  Bound bound{&plan, {}, {}, {}, {}};
  for (const Buffer& buffer : plan.buffers) {
    uint8_t* at = nullptr;
    switch (buffer.place) {
      case Place::arena:
        at = reinterpret_cast<uint8_t*>(arena_.get()) + buffer.at;
        break;
      case Place::constant:
        at = const_cast<uint8_t*>(plan.constants.data()) + buffer.at;
        break;
      case Place::state:
        at = run.state[buffer.at].data;
        break;
      case Place::batch:
        at = reinterpret_cast<uint8_t*>(batch_[buffer.at].get());
        break;
      case Place::schedule:
        break;  // moves on with each step
    }
    bound.buffers.push_back(at);
  }
  size_t total = 0;
  for (const Step& step : plan.steps) total += step.operands.size();
  bound.operands.reserve(total);  // `scheduled` points into it
  for (const Step& step : plan.steps) {
    bound.begins.push_back(bound.operands.size());
    for (int32_t operand : step.operands) {
      bound.operands.push_back(bound.buffers[operand]);
      if (plan.buffers[operand].place == Place::schedule)
        bound.scheduled.push_back({&bound.operands.back(), plan.buffers[operand].at});
    }
  }
  return bound;
}

bool Executor::run(const Run& run, const std::function<bool()>& stop) {
  check(run);
  std::vector<Bound> bounds;
  const int64_t left = run.rows % full_->rows;
  if (run.rows >= full_->rows) bounds.push_back(bind(*full_, run));
  if (left) bounds.push_back(bind(*rest_, run));
  Halt halt;
  run_together(threads_, [&](const Team& team) { work(run, bounds, stop, halt, team); });
  return !halt.now;
}

// What each member of the team does. Member 0 alone speaks with the outside.
void Executor::work(const Run& run, std::vector<Bound>& bounds, const std::function<bool()>& stop, Halt& halt,
                    const Team& team) {
  std::vector<uint8_t*> emitted;
  for (const Array& emit : run.emits) emitted.push_back(emit.data);
  auto asked = Clock::now();
  const auto impatient = [&] {
    const auto now = Clock::now();
    if (now - asked < kPatience) return false;
    asked = now;
    return stop();
  };
  // Hands out the results of a step; returns whether the state may be updated.
  const auto report = [&](const Bound& bound) {
    if (impatient()) return false;
    for (size_t e = 0; e < emitted.size(); ++e) {
      const Emit& emit = bound.plan->emits[e];
      std::memcpy(emitted[e], bound.buffers[emit.buffer], emit.bytes);
      emitted[e] += emit.bytes;
    }
    if (run.watch < 0) return true;
    float watched;
    std::memcpy(&watched, bound.buffers[bound.plan->emits[run.watch].buffer], sizeof watched);
    return std::isfinite(watched);
  };
  int64_t row = 0, number = 0;
  for (Bound& bound : bounds) {
    const Plan& plan = *bound.plan;
    const bool plan_is_full = bound.plan == full_.get();
    for (; run.rows - row >= plan.rows; row += plan.rows, ++number) {
      if (team.part == 0)
        for (const auto& [operand, list] : bound.scheduled) *operand = run.schedule[list].data + 4 * number;
      for (size_t c = 0; c < plan.batch_bytes.size(); ++c)
        if (plan.batch_bytes[c])
          gather(run.columns[c], run.order + row, plan.rows, reinterpret_cast<uint8_t*>(batch_[c].get()), team);
      team.wait();
      const Walk walk{plan, bound.operands.data(), bound.begins, plan_is_full ? run.seconds : nullptr, team};
      walk.steps(0, plan.first_update, halt.leave_at, impatient);
      team.wait();
      if (team.part == 0) halt.now = halt.leave_at.load() < Halt::kNever || !report(bound);
      team.wait();
      if (halt.now) return;
      walk.steps(plan.first_update, static_cast<int64_t>(plan.steps.size()), halt.leave_at, [] { return false; });
      team.wait();
      if (team.part == 0) std::atomic_ref<int64_t>(*run.done).store(number + 1, std::memory_order_release);
    }
  }
}

}  // namespace nacre
