#include "runtime/executor.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/pool.h"
#include "kernels/panel.h"

namespace nacre {

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kEach = -1;
constexpr auto kPatience = std::chrono::milliseconds(20);  // how long a run goes on without asking whether to stop

// Compiled for wider vectors too, where the system can choose when it loads the program.
#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define NACRE_WIDE __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define NACRE_WIDE
#endif

// The exponents of floats, those of infinities and NaN carried over into the highest bit.
NACRE_WIDE uint32_t exponents(const uint8_t* floats, int64_t count) {
  constexpr uint32_t kExponent = 0x7f800000, kOne = 0x00800000;
  uint32_t found = 0;
  for (int64_t n = 0; n < count; ++n) {
    uint32_t bits;
    std::memcpy(&bits, floats + 4 * n, sizeof bits);
    found |= (bits & kExponent) + kOne;
  }
  return found;
}

// Whether the floats of a step's rows, which are in the cache, are finite; this member's share of them.
bool all_finite(const Column& column, const int64_t* order, int64_t rows, const Team& team) {
  uint32_t found = 0;
  for (int64_t i = rows * team.part / team.parts; i < rows * (team.part + 1) / team.parts; ++i)
    found |= exponents(column.data + order[i] * column.row_bytes, column.row_bytes / 4);
  return found >> 31 == 0;
}

// How a step is really shared among so many members.
Sharing sharing_of(const Step& step, int64_t rows, int parts) {
  if (parts == 1) return Sharing::alone;
  if (step.sharing == Sharing::rows && rows < parts) return Sharing::free;
  if (step.sharing == Sharing::turned && rows % (kPanel * parts)) return Sharing::free;
  const int64_t panels = step.sharing == Sharing::panels ? panels_of(step) : 0;
  if (panels % parts && panels < 4 * parts) return Sharing::free;  // one would have much more to do than another
  return step.sharing;
}

bool by_rows(Sharing sharing) { return sharing == Sharing::rows || sharing == Sharing::turned; }

// A buffer that a step reads or writes.
struct Touch {
  int32_t buffer;
  bool writes, whole;
  Sharing sharing;
  int64_t panels;  // by which the step is shared
  int member;      // who alone does the step, if somebody does; kEach
};

std::vector<Touch> touches_of(const Step& step, Sharing sharing, int member) {
  const bool in_panels = sharing == Sharing::panels;
  std::vector<Touch> touches;
  for (size_t i = 0; i < step.operands.size(); ++i)
    touches.push_back({step.operands[i], i + step.results >= step.operands.size(),
                       step.whole[i] || !(in_panels || by_rows(sharing)), sharing, in_panels ? panels_of(step) : 0,
                       member});
  return touches;
}

// Roughly, what a step costs: bytes, some of them for being called at all.
int64_t cost_of(const Plan& plan, const Step& step) {
  int64_t bytes = 2048;
  for (int32_t operand : step.operands) bytes += plan.buffers[operand].bytes;
  return bytes;
}

bool overlap(const Buffer& a, const Buffer& b) {
  if (a.place != b.place || a.place == Place::own) return false;
  if (a.place != Place::arena) return a.at == b.at;
  return a.at < b.at + b.bytes && b.at < a.at + a.bytes;
}

// Whether one member could come to a step before another has done with an earlier one what it must not see undone.
bool conflict(const Plan& plan, const Touch& earlier, const Touch& later) {
  if (!earlier.writes && !later.writes) return false;
  if (earlier.sharing == Sharing::alone && later.sharing == Sharing::alone && earlier.member == later.member)
    return false;
  const bool alike = earlier.sharing == Sharing::panels ? earlier.panels == later.panels
                                                        : by_rows(earlier.sharing) && by_rows(later.sharing);
  const bool own = earlier.buffer == later.buffer && !earlier.whole && !later.whole && alike;
  return !own && overlap(plan.buffers[earlier.buffer], plan.buffers[later.buffer]);
}

}  // namespace

Executor::Way::Way(std::shared_ptr<const Plan> given, int parts) : plan(std::move(given)), report(0), over_data(false) {
  const auto steps = static_cast<int64_t>(plan->steps.size());
  const auto writes_state = [&](const Step& step) {
    return std::any_of(step.operands.end() - step.results, step.operands.end(),
                       [&](int32_t result) { return plan->buffers[result].place == Place::state; });
  };
  while (report < steps && !writes_state(plan->steps[report])) ++report;
  over_data = std::any_of(plan->steps.begin(), plan->steps.end(), [&](const Step& step) {
    return step.operands.size() > 1 && plan->buffers[step.operands[1]].place == Place::batch;
  });
  std::vector<Touch> since;  // the last meeting
  std::vector<int64_t> load(parts);
  const auto meets = [&](const std::vector<Touch>& touches) {
    for (const Touch& later : touches)
      for (const Touch& earlier : since)
        if (conflict(*plan, earlier, later)) return true;
    return false;
  };
  for (int64_t n = 0; n < steps; ++n) {
    const Step& step = plan->steps[n];
    if (n == report) since.clear();
    sharing.push_back(sharing_of(step, plan->rows, parts));
    // What one does alone is done by who need not wait for it, the one with the least to do.
    const bool each = plan->by_each(step);
    int who = each ? kEach : 0;
    const int first = who, last = each ? kEach : sharing.back() == Sharing::alone ? parts - 1 : 0;
    meet.push_back(true);
    for (int m = first; m <= last; ++m)
      if (!meets(touches_of(step, sharing.back(), m)) && (meet.back() || load[m] < load[who])) {
        meet.back() = false;
        who = m;
      }
    if (meet.back()) since.clear();
    if (meet.back() || n == report) load.assign(parts, 0);
    member.push_back(who);
    if (sharing.back() == Sharing::alone && !each) load[who] += cost_of(*plan, step);
    for (const Touch& touch : touches_of(step, sharing.back(), who)) since.push_back(touch);
  }
}

// Whether a run ends early, and at which meeting: all members count them. A mere flag would not do: one that is late
// for a meeting could see it raised for the next, and leave alone.
struct Executor::Halt {
  std::atomic<bool> not_finite{false};  // something in the rows; ends nothing
  std::atomic<int64_t> meeting{INT64_MAX};
};

// A plan with its numbers turned into addresses. Each member has its own, and moves on by itself.
struct Executor::Bound {
  const Way* way;
  std::vector<void*> operands;                        // of all steps, one after the other
  std::vector<std::pair<void**, int64_t>> scheduled;  // operand, schedule
  std::vector<void*> buffers;
  std::vector<size_t> begins;  // of each step's operands
  std::vector<Rows> columns;
};

Executor::Executor(std::shared_ptr<const Plan> full, std::shared_ptr<const Plan> rest,
                   std::shared_ptr<const Plan> sampled, int threads)
    : full_(std::move(full)), rest_(std::move(rest)), sampled_(std::move(sampled)), threads_(1) {
  require(full_ != nullptr, "An executor needs a plan.");
  if (sampled_)
    require(sampled_->rows == full_->rows && sampled_->emits.size() >= full_->emits.size(),
            "The sampled plan is not one for full batches.");
  constexpr int64_t kLine = 128;  // which two members should not share
  for (const auto& plan : {full_, rest_, sampled_}) {
    if (!plan) continue;
    plan->check();
    arena_bytes_ = std::max(arena_bytes_, (plan->arena_bytes + kLine - 1) / kLine * kLine);
    own_bytes_ = std::max(own_bytes_, (plan->own_bytes + kLine - 1) / kLine * kLine);
    for (const Step& step : plan->steps)
      if (step.sharing != Sharing::alone) threads_ = threads;
  }
  for (const auto& plan : {full_, rest_, sampled_})
    if (plan) ways_.emplace_back(plan, threads_);
  arena_ = allocate(arena_bytes_ + threads_ * own_bytes_);
}

void Executor::check(const Run& run) const {
  const int64_t steps = run.rows / full_->rows, left = run.rows - steps * full_->rows;
  require(run.rows >= 0, "A run needs rows.");
  require(left == 0 || (rest_ && rest_->rows == left), "The rows are no whole number of batches.");
  const int64_t total = steps + (left > 0);
  for (const Array& numbers : run.schedule) require(numbers.bytes >= 4 * total, "A schedule is shorter than the run.");
  int64_t least = 0, most = -1;
  for (int64_t i = 0; i < run.rows; ++i) {
    least = std::min(least, run.order[i]);
    most = std::max(most, run.order[i]);
  }
  for (const Column& column : run.columns)
    if (least < 0 || most >= column.rows)
      throw Error("Row " + std::to_string(least < 0 ? least : most) + " does not exist.");
  require(run.first_sample >= 0 && run.every >= 0 && (sampled_ || !run.every), "There is nothing to sample with.");
  const int64_t samples = run.every && run.first_sample < steps ? (steps - run.first_sample - 1) / run.every + 1 : 0;
  if (samples) {
    const size_t count = run.emits.size();
    require(sampled_->emits.size() == count + run.samples.size(), "The run and the plan differ in samples.");
    for (size_t n = 0; n < run.samples.size(); ++n)
      require(samples * sampled_->emits[count + n].bytes <= run.samples[n].bytes, "There is no room for a sample.");
  }
  std::vector<int64_t> written(run.emits.size());
  const std::pair<std::shared_ptr<const Plan>, int64_t> plans[] = {
      {full_, steps - samples}, {rest_, int64_t(left > 0)}, {sampled_, samples}};
  for (const auto& [plan, times] : plans) {
    if (!times) continue;
    require(plan == sampled_ || plan->emits.size() == run.emits.size(), "The run and the plan differ in outputs.");
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

Executor::Bound Executor::bind(const Way& way, const Run& run, int part) const {
  const Plan& plan = *way.plan;
  Bound bound{&way, {}, {}, {}, {}, {}};
  for (const Column& column : run.columns) bound.columns.push_back({column.data, run.order});
  for (const Buffer& buffer : plan.buffers) {
    void* at = nullptr;
    switch (buffer.place) {
      case Place::arena:
        at = reinterpret_cast<uint8_t*>(arena_.get()) + buffer.at;
        break;
      case Place::own:
        at = reinterpret_cast<uint8_t*>(arena_.get()) + arena_bytes_ + part * own_bytes_ + buffer.at;
        break;
      case Place::constant:
        at = const_cast<uint8_t*>(plan.constants.data()) + buffer.at;
        break;
      case Place::state:
        at = run.state[buffer.at].data;
        break;
      case Place::batch:
        at = &bound.columns[buffer.at];
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

// What a member will gather in the next step: it lies anywhere in memory, and takes long to come.
Ahead Executor::ahead_of(const Bound& bound, const Run& run, int64_t next, const Team& team) const {
  constexpr int64_t kWorthIt = 256;            // bytes of a row
  constexpr int64_t kFits = int64_t(1) << 19;  // bytes in the second cache
  const Way& way = *bound.way;
  const Plan& plan = *way.plan;
  const int64_t rows = std::min(run.rows - next, plan.rows);
  for (size_t n = 0; n < plan.steps.size() && rows > 0; ++n) {
    const Buffer& from = plan.buffers[plan.steps[n].operands[0]];
    if (from.place != Place::batch || run.columns[from.at].row_bytes < kWorthIt) continue;
    const Column& column = run.columns[from.at];
    const int64_t part = team.part, parts = team.parts;
    Ahead ahead{column.data, run.order + next, rows, column.row_bytes, 0, column.row_bytes};
    if (way.sharing[n] == Sharing::rows) {
      ahead.order += rows * part / parts;
      ahead.rows = rows * (part + 1) / parts - rows * part / parts;
    } else if (way.sharing[n] == Sharing::free) {
      ahead.begin = column.row_bytes * part / parts;
      ahead.end = column.row_bytes * (part + 1) / parts;
    }
    ahead.at = ahead.begin;
    // Rows over which vectors run are long. Those that the second cache cannot hold beside this step's come late.
    const bool fits = 2 * rows * column.row_bytes / parts <= kFits;
    ahead.early = !way.over_data ? ahead.rows : fits ? ahead.rows / 3 : 0;
    return ahead;
  }
  return {};
}

bool Executor::run(const Run& run, const std::function<bool()>& stop) {
  check(run);
  Halt halt;
  const bool together = run.rows / full_->rows >= full_->together;
  run_together(together ? threads_ : 1, [&](const Team& team) { work(run, stop, halt, team); });
  return !halt.not_finite.load();
}

// What each member of the team does. Member 0 alone speaks with the outside.
void Executor::work(const Run& run, const std::function<bool()>& stop, Halt& halt, const Team& team) const {
  std::vector<uint8_t*> emitted;
  for (const Array& emit : run.emits) emitted.push_back(emit.data);
  auto asked = Clock::now();
  const auto impatient = [&] {
    const auto now = Clock::now();
    if (now - asked < kPatience) return false;
    asked = now;
    return stop();
  };
  // All wait for each other; member 0 may end the run. Returns whether it goes on.
  int64_t meeting = 0;
  const auto meet = [&](bool leave) {
    if (leave) halt.meeting.store(meeting);
    team.wait();
    return halt.meeting.load() > meeting++;
  };
  const auto hand_out = [&](const Bound& bound) {
    for (size_t e = 0; e < emitted.size(); ++e) {
      const Emit& emit = bound.way->plan->emits[e];
      std::memcpy(emitted[e], bound.buffers[emit.buffer], emit.bytes);
      emitted[e] += emit.bytes;
    }
  };
  const auto is_finite = [&](const Bound& bound) {
    if (run.watch < 0) return true;
    float watched;
    std::memcpy(&watched, bound.buffers[bound.way->plan->emits[run.watch].buffer], sizeof watched);
    return std::isfinite(watched);
  };
  Ahead ahead;
  // Steps first .. last - 1; returns whether the run goes on. Where time is taken, all meet after each.
  const auto walk = [&](const Bound& bound, int64_t first, int64_t last, bool may_leave, double* seconds) {
    const Way& way = *bound.way;
    auto before = seconds ? Clock::now() : Clock::time_point();
    for (int64_t n = first; n < last; ++n) {
      const Step& step = way.plan->steps[n];
      if (way.meet[n] && !meet(may_leave && team.part == 0 && impatient())) return false;
      const bool alone = way.sharing[n] == Sharing::alone;
      if (!alone || way.member[n] == kEach || team.part == way.member[n] % team.parts)
        step.kernel({bound.operands.data() + bound.begins[n], step.args.data(), alone ? 0 : team.part,
                     alone ? 1 : team.parts, way.sharing[n], way.plan->rows, &ahead});
      if (!seconds) continue;
      team.wait();
      const auto now = Clock::now();
      if (team.part == 0) seconds[n] += std::chrono::duration<double>(now - before).count();
      before = now;
    }
    return true;
  };
  std::vector<uint8_t*> sampled;
  for (const Array& sample : run.samples) sampled.push_back(sample.data);
  std::vector<Bound> bounds;
  bounds.reserve(ways_.size());
  const auto bound_to = [&](const std::shared_ptr<const Plan>& plan) -> Bound& {
    for (Bound& bound : bounds)
      if (bound.way->plan == plan) return bound;
    for (const Way& way : ways_)
      if (way.plan == plan) bounds.push_back(bind(way, run, team.part));
    return bounds.back();
  };
  for (int64_t row = 0, number = 0; row < run.rows; ++number) {
    const bool is_full = run.rows - row >= full_->rows;
    const bool sample =
        is_full && run.every && number >= run.first_sample && (number - run.first_sample) % run.every == 0;
    Bound& bound = bound_to(sample ? sampled_ : is_full ? full_ : rest_);
    const Plan& plan = *bound.way->plan;
    const auto steps = static_cast<int64_t>(plan.steps.size());
    double* seconds = bound.way->plan == full_ ? run.seconds : nullptr;
    for (const auto& [operand, list] : bound.scheduled) *operand = run.schedule[list].data + 4 * number;
    for (Rows& column : bound.columns) column.order = run.order + row;
    ahead = ahead_of(bound, run, row + plan.rows, team);
    const int64_t report = bound.way->report;
    if (!walk(bound, 0, report, true, seconds)) return;
    for (const Column& column : run.columns)
      if (column.doubtful && !all_finite(column, run.order + row, plan.rows, team)) halt.not_finite.store(true);
    if (!meet(team.part == 0 && impatient())) return;
    // What is handed out stays where it is until the step is over: all see the same.
    if (team.part == 0) hand_out(bound);
    if (!is_finite(bound)) return;
    walk(bound, report, steps, false, seconds);
    team.wait();
    if (sample) {
      for (size_t n = 0; n < sampled.size() && team.part == 0; ++n) {
        const Emit& emit = plan.emits[emitted.size() + n];
        std::memcpy(sampled[n], bound.buffers[emit.buffer], emit.bytes);
        sampled[n] += emit.bytes;
      }
      team.wait();
    }
    row += plan.rows;
    if (team.part == 0 && run.done) std::atomic_ref<int64_t>(*run.done).store(number + 1, std::memory_order_release);
  }
}

}  // namespace nacre
