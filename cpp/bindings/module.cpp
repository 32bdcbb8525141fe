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

#include <numeric>

#include "base/cpu.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/shuffle.h"
#include "kernels/panel.h"
#include "kernels/table.h"
#include "runtime/executor.h"

namespace nb = nanobind;
using namespace nacre;

namespace {

using Numbers = nb::ndarray<nb::c_contig, nb::device::cpu>;  // of any type
using ConstNumbers = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using ConstBytes = nb::ndarray<const uint8_t, nb::c_contig, nb::device::cpu>;
using Int64s = nb::ndarray<int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Doubles = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ConstInt64s = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// An array without bytes may come without an address; but memcpy wants one, however little it copies.
uint8_t nothing[1];

std::vector<Array> arrays_of(const std::vector<Numbers>& all) {
  std::vector<Array> result;
  for (const Numbers& numbers : all)
    result.push_back(
        {numbers.nbytes() ? static_cast<uint8_t*>(numbers.data()) : nothing, static_cast<int64_t>(numbers.nbytes())});
  return result;
}

// Arrays that many runs use, kept alive, their addresses taken once.
struct Arrays {
  explicit Arrays(std::vector<Numbers> all) : held(std::move(all)), addresses(arrays_of(held)) {}
  std::vector<Numbers> held;
  std::vector<Array> addresses;
};

using Buffers = std::vector<std::vector<int64_t>>;  // { place, at, bytes } each
// kernel, sharing, number of results, operands, which of them are read whole, integers
using Steps =
    std::vector<std::tuple<int32_t, int32_t, int32_t, std::vector<int32_t>, std::vector<bool>, std::vector<int64_t>>>;

std::shared_ptr<Plan> make_plan(const std::string& isa, int64_t rows, int64_t arena_bytes, int64_t own_bytes,
                                int64_t first_update, const Buffers& buffers, const Steps& steps,
                                const std::vector<std::pair<int32_t, int64_t>>& emits, ConstBytes constants,
                                std::vector<int64_t> batch_bytes, int64_t together) {
  const auto& kernels = kernels_for(isa);
  // The reference kernels do not keep to the rows that a step is shared by, so that others would read what they have
  // yet to write: one thread runs them.
  const bool alone = isa == "reference";
  auto plan = std::make_shared<Plan>();
  plan->rows = rows;
  plan->arena_bytes = arena_bytes;
  plan->own_bytes = own_bytes;
  plan->first_update = first_update;
  plan->together = together;
  for (const auto& b : buffers) {
    require(b.size() == 3, "A buffer is three integers.");
    plan->buffers.push_back({static_cast<Place>(b[0]), b[1], b[2]});
  }
  for (const auto& [name, sharing, results, operands, whole, args] : steps) {
    require(name >= 0 && name < static_cast<int32_t>(kernels.size()), "There is no such kernel.");
    const auto how = alone ? Sharing::alone : static_cast<Sharing>(sharing);
    plan->steps.push_back({kernels[name], name, how, results, whole, operands, args});
  }
  for (const auto& [buffer, bytes] : emits) plan->emits.push_back({buffer, bytes});
  plan->constants.reserve(1);  // as above
  plan->constants.assign(constants.data(), constants.data() + constants.size());
  plan->batch_bytes = std::move(batch_bytes);
  plan->check();
  return plan;
}

bool run(Executor& executor, const Arrays& state, const std::vector<ConstNumbers>& columns,
         std::optional<ConstInt64s> order, const std::vector<Numbers>& schedule, const std::vector<Numbers>& emits,
         std::optional<Int64s> done, int32_t watch, bool finite, std::optional<Doubles> seconds,
         const std::vector<Numbers>& samples, int64_t first_sample, int64_t every) {
  Run r;
  r.state = state.addresses;
  for (const ConstNumbers& column : columns) {
    require(column.ndim() > 0 && column.shape(0) > 0, "A column has no rows.");
    const auto rows = static_cast<int64_t>(column.shape(0));
    r.columns.push_back({column.nbytes() ? static_cast<const uint8_t*>(column.data()) : nothing, rows,
                         static_cast<int64_t>(column.nbytes()) / rows,
                         !finite && column.dtype() == nb::dtype<float>()});
  }
  require(order || !r.columns.empty(), "A run needs rows.");
  r.rows = order ? static_cast<int64_t>(order->size()) : r.columns[0].rows;
  std::vector<int64_t> as_they_lie(order ? 0 : r.rows);
  std::iota(as_they_lie.begin(), as_they_lie.end(), 0);
  r.order = order ? order->data() : as_they_lie.data();
  r.schedule = arrays_of(schedule);
  r.emits = arrays_of(emits);
  require(!done || done->size() == 1, "The counter is one number.");
  r.done = done ? done->data() : nullptr;
  r.watch = watch;
  r.samples = arrays_of(samples);
  r.first_sample = first_sample;
  r.every = every;
  if (seconds) {
    require(seconds->size() == executor.steps(), "There is one time for each step.");
    r.seconds = seconds->data();
  }
  bool all_finite, interrupted = false;
  {
    nb::gil_scoped_release release;
    all_finite = executor.run(r, [&] {
      nb::gil_scoped_acquire acquire;
      return interrupted = PyErr_CheckSignals() != 0;
    });
  }
  if (interrupted) throw nb::python_error();
  return all_finite;
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
  m.def(
      "shuffle",
      [](uint64_t seed, uint64_t step, int64_t number, Int64s order) {
        nb::gil_scoped_release release;
        shuffle(seed, step, static_cast<uint64_t>(number), static_cast<int64_t>(order.size()), order.data());
      },
      nb::arg("seed"), nb::arg("step"), nb::arg("number"), nb::arg("order"));
  nb::class_<Plan>(m, "Plan");
  m.def("make_plan", &make_plan, nb::arg("isa"), nb::arg("rows"), nb::arg("arena_bytes"), nb::arg("own_bytes"),
        nb::arg("first_update"), nb::arg("buffers"), nb::arg("steps"), nb::arg("emits"), nb::arg("constants"),
        nb::arg("batch_bytes"), nb::arg("together") = 0);
  nb::class_<Arrays>(m, "Arrays").def(nb::init<std::vector<Numbers>>());
  nb::class_<Executor>(m, "Executor")
      .def(nb::init<std::shared_ptr<const Plan>, std::shared_ptr<const Plan>, std::shared_ptr<const Plan>, int>(),
           nb::arg("full"), nb::arg("rest").none(), nb::arg("sampled").none(), nb::arg("threads"))
      .def("run", &run, nb::arg("state"), nb::arg("columns"), nb::arg("order").none(), nb::arg("schedule"),
           nb::arg("emits"), nb::arg("done").none(), nb::arg("watch"), nb::arg("finite") = true,
           nb::arg("seconds") = nb::none(), nb::arg("samples") = std::vector<Numbers>(), nb::arg("first_sample") = 0,
           nb::arg("every") = 0);
}
