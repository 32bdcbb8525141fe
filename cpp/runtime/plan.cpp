#include "runtime/plan.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/map.h"
#include "kernels/panel.h"
#include "kernels/table.h"

namespace nacre {

namespace {

void check_buffer(const Plan& plan, const Buffer& buffer, const std::string& where) {
  require(buffer.bytes >= 0 && buffer.at >= 0, where + " has a negative size or place.");
  const auto inside = [&](int64_t limit) { return buffer.at <= limit && buffer.bytes <= limit - buffer.at; };
  switch (buffer.place) {
    case Place::arena:
      return require(inside(plan.arena_bytes), where + " leaves the arena.");
    case Place::own:
      return require(inside(plan.own_bytes), where + " leaves a member's own memory.");
    case Place::constant:
      return require(inside(static_cast<int64_t>(plan.constants.size())), where + " leaves the constants.");
    case Place::batch: {
      require(buffer.at < static_cast<int64_t>(plan.batch_bytes.size()), where + " names no column.");
      return require(buffer.bytes == plan.rows * plan.batch_bytes[buffer.at], where + " is not the size of its rows.");
    }
    case Place::schedule:
      return require(buffer.bytes == 4, where + " must be one number.");
    case Place::state:
      return;
  }
  throw Error(where + " has no place.");
}

// Which operand of a step is a column of the data, of how many rows.
struct Gathered {
  int64_t operand = -1, rows = 0, row_bytes = 0;
};

Gathered gathered_by(const std::string& kernel, const std::vector<int64_t>& args) {
  if (kernel == "gather") return {0, args[1], args[0] * args[2]};
  if (kernel.rfind("matmul", 0)) return {};
  const int64_t item = args[3] & kBytes ? 1 : 4;
  if (args[3] & kOverData) return {1, args[1], item * args[2]};
  if (!(args[3] & kFromData)) return {};
  return args[3] & kTransposed ? Gathered{0, args[1], item * args[0]} : Gathered{0, args[0], item * args[1]};
}

}  // namespace

int64_t panels_of(const Step& step) {
  const std::string& kernel = kernel_rows().at(step.name).name;
  if (kernel == "map") {
    const MapProgram program(step.args.data());
    if (program.sums()) return 0;
    return program.panels == 1 ? panels(program.elements) : program.panels;
  }
  const bool sums_panels = kernel.rfind("reduce_", 0) == 0 && step.args.size() == 3 && step.args[2] == kPanel;
  return sums_panels ? step.args[0] : 0;
}

bool Plan::by_each(const Step& step) const { return buffers[step.operands.back()].place == Place::own; }

void Plan::check() const {
  require(rows > 0 && arena_bytes >= 0 && own_bytes >= 0, "A plan needs rows and an arena.");
  require(first_update >= 0 && first_update <= static_cast<int64_t>(steps.size()), "The first update is no step.");
  for (size_t n = 0; n < buffers.size(); ++n) check_buffer(*this, buffers[n], "Buffer " + std::to_string(n));
  for (size_t n = 0; n < steps.size(); ++n) {
    const Step& step = steps[n];
    const KernelRow& row = kernel_rows().at(step.name);
    const std::string where = "Step " + std::to_string(n) + " (" + row.name + ")";
    std::vector<size_t> touched;
    try {
      touched = row.extents(step.args.data(), step.args.size());
    } catch (const Error& error) {
      throw Error(where + ": " + error.what());
    }
    require(touched.size() == step.operands.size(), where + " has the wrong number of operands.");
    const auto operands = static_cast<int64_t>(step.operands.size());
    require(step.results > 0 && step.results <= operands, where + " has no result.");
    require(step.sharing >= Sharing::alone && step.sharing <= Sharing::free, where + " cannot be shared like this.");
    require(step.sharing != Sharing::panels || panels_of(step), where + " has no panels to share.");
    require(step.whole.size() == step.operands.size(), where + " does not tell which operands it reads by rows.");
    const Gathered gathered = gathered_by(row.name, step.args);
    for (size_t i = 0; i < touched.size(); ++i) {
      require(step.operands[i] >= 0 && step.operands[i] < static_cast<int64_t>(buffers.size()),
              where + " names no buffer.");
      if (static_cast<int64_t>(i) >= operands - step.results) {
        const Place result = buffers[step.operands[i]].place;
        require(result == Place::arena || result == Place::state || result == Place::own,
                where + " writes what it may only read.");
        require(result != Place::state || static_cast<int64_t>(n) >= first_update,
                where + " changes the state too early.");
      }
      const Buffer& buffer = buffers[step.operands[i]];
      const bool column = static_cast<int64_t>(i) == gathered.operand;
      require(column || buffer.place != Place::batch, where + " reads a column that is not gathered.");
      require(!column || (buffer.place == Place::batch && gathered.rows == rows &&
                          gathered.row_bytes == batch_bytes[buffer.at]),
              where + " does not gather the rows of a column.");
      const auto has = static_cast<size_t>(buffers[step.operands[i]].bytes);
      require(touched[i] <= has, where + ", operand " + std::to_string(i) + ": touches " + std::to_string(touched[i]) +
                                     " bytes of a buffer of " + std::to_string(has) + ".");
    }
    const auto own = std::count_if(step.operands.end() - step.results, step.operands.end(),
                                   [&](int32_t result) { return buffers[result].place == Place::own; });
    require(own == 0 || (own == step.results && step.sharing == Sharing::alone),
            where + " is not done by each member, and writes into what each has for itself.");
  }
  for (const Emit& emit : emits) {
    require(emit.buffer >= 0 && emit.buffer < static_cast<int64_t>(buffers.size()), "An output names no buffer.");
    require(emit.bytes >= 0 && emit.bytes <= buffers[emit.buffer].bytes, "An output is larger than its buffer.");
    const Place place = buffers[emit.buffer].place;
    require(place != Place::schedule && place != Place::batch, "A schedule or a column cannot be handed out.");
  }
}

}  // namespace nacre
