// The one door between Python and the cellar.
#include <Python.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "base/cpu.h"
#include "base/error.h"
#include "base/pool.h"
#include "kernels/panel.h"
#include "kernels/table.h"
#include "runtime/executor.h"

namespace nb = nanobind;
using namespace nacre;

namespace {

using Bytes = nb::ndarray<uint8_t, nb::c_contig, nb::device::cpu>;
using ConstBytes = nb::ndarray<const uint8_t, nb::c_contig, nb::device::cpu>;
using Int64s = nb::ndarray<int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Doubles = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ConstInt64s = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// An array without bytes may come without an address; but memcpy wants one, however little it copies.
uint8_t nothing[1];

Array array_of(const Bytes& bytes) {
  return {bytes.size() ? bytes.data() : nothing, static_cast<int64_t>(bytes.size())};
}

std::vector<Array> arrays_of(const std::vector<Bytes>& all) {
  std::vector<Array> result;
  for (const Bytes& bytes : all) result.push_back(array_of(bytes));
  return result;
}

using Buffers = std::vector<std::vector<int64_t>>;  // { place, at, bytes } each
// kernel, sharing, number of results, operands, which of them are read whole, integers
using Steps =
    std::vector<std::tuple<int32_t, int32_t, int32_t, std::vector<int32_t>, std::vector<bool>, std::vector<int64_t>>>;

std::shared_ptr<Plan> make_plan(const std::string& isa, int64_t rows, int64_t arena_bytes, int64_t first_update,
                                const Buffers& buffers, const Steps& steps,
                                const std::vector<std::pair<int32_t, int64_t>>& emits, ConstBytes constants,
                                std::vector<int64_t> batch_bytes) {
  const auto& kernels = kernels_for(isa);
  // The reference kernels do not keep to the rows that a step is shared by, so that others would read what they have
  // yet to write: one thread runs them.
  const bool alone = isa == "reference";
  auto plan = std::make_shared<Plan>();
  plan->rows = rows;
  plan->arena_bytes = arena_bytes;
  plan->first_update = first_update;
  for (const auto& b : buffers) {
    require(b.size() == 3, "A buffer is three integers.");
    plan->buffers.push_back({static_cast<Place>(b[0]), b[1], b[2]});
  }
  for (const auto& [name, sharing, results, operands, whole, args] : steps) {
    require(name >= 0 && name < static_cast<int32_t>(kernels.size()), "There is no such kernel.");
    plan->steps.push_back(
        {kernels[name], name, alone ? Sharing::alone : static_cast<Sharing>(sharing), results, whole, operands, args});
  }
  for (const auto& [buffer, bytes] : emits) plan->emits.push_back({buffer, bytes});
  plan->constants.reserve(1);  // as above
  plan->constants.assign(constants.data(), constants.data() + constants.size());
  plan->batch_bytes = std::move(batch_bytes);
  plan->check();
  return plan;
}

bool run(Executor& executor, const std::vector<Bytes>& state, const std::vector<ConstBytes>& columns,
         const std::vector<int64_t>& column_rows, ConstInt64s order, const std::vector<Bytes>& schedule,
         const std::vector<Bytes>& emits, Int64s done, int32_t watch, std::optional<Doubles> seconds) {
  Run r;
  r.state = arrays_of(state);
  require(columns.size() == column_rows.size(), "Each column needs its number of rows.");
  for (size_t c = 0; c < columns.size(); ++c) {
    const auto bytes = static_cast<int64_t>(columns[c].size());
    require(column_rows[c] > 0 && bytes % column_rows[c] == 0, "A column is no whole number of rows.");
    r.columns.push_back({bytes ? columns[c].data() : nothing, column_rows[c], bytes / column_rows[c]});
  }
  r.order = order.data();
  r.rows = static_cast<int64_t>(order.size());
  r.schedule = arrays_of(schedule);
  r.emits = arrays_of(emits);
  require(done.size() == 1, "The counter is one number.");
  r.done = done.data();
  r.watch = watch;
  if (seconds) {
    require(seconds->size() == executor.steps(), "There is one time for each step.");
    r.seconds = seconds->data();
  }
  bool finished, interrupted = false;
  {
    nb::gil_scoped_release release;
    finished = executor.run(r, [&] {
      nb::gil_scoped_acquire acquire;
      return interrupted = PyErr_CheckSignals() != 0;
    });
  }
  if (interrupted) throw nb::python_error();
  return finished;
}

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "nacre's native runtime.";
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const Error& e) {
      PyErr_SetString(PyExc_ValueError, e.what());
    }
  });
  m.def("isas", &available_isas, "Names of the kernel sets this processor can run, slowest first.");
  m.def("kernel_names", [] {
    std::vector<std::string> names;
    for (const KernelRow& row : kernel_rows()) names.push_back(row.name);
    return names;
  });
  m.attr("PANEL") = kPanel;
  m.def("map_op_names", &map_op_names);
  m.def("default_threads", &default_threads,
        "NACRE_THREADS, else OMP_NUM_THREADS, else what affinity and quota allow.");
  nb::class_<Plan>(m, "Plan");
  m.def("make_plan", &make_plan, nb::arg("isa"), nb::arg("rows"), nb::arg("arena_bytes"), nb::arg("first_update"),
        nb::arg("buffers"), nb::arg("steps"), nb::arg("emits"), nb::arg("constants"), nb::arg("batch_bytes"));
  nb::class_<Executor>(m, "Executor")
      .def(nb::init<std::shared_ptr<const Plan>, std::shared_ptr<const Plan>, int>(), nb::arg("full"),
           nb::arg("rest").none(), nb::arg("threads"))
      .def("run", &run, nb::arg("state"), nb::arg("columns"), nb::arg("column_rows"), nb::arg("order"),
           nb::arg("schedule"), nb::arg("emits"), nb::arg("done"), nb::arg("watch"), nb::arg("seconds") = nb::none());
}
