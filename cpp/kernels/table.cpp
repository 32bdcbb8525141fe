#include "kernels/table.h"

#include <algorithm>

#include "base/cpu.h"
#include "kernels/extents.h"
#include "kernels/map.h"

namespace nacre {

#define NACRE_KERNEL(name) void name(const Call&);
namespace baseline {
#include "kernels/kernels.def"
}
#if defined(__x86_64__)
#define NACRE_KERNEL(name) void name(const Call&);
namespace avx2 {
#include "kernels/kernels.def"
}
#define NACRE_KERNEL(name) void name(const Call&);
namespace avx512 {
#include "kernels/kernels.def"
}
#define NACRE_KERNEL(name) void name(const Call&);
namespace avx512_bf16 {
#include "kernels/kernels.def"
}
#endif
#define NACRE_KERNEL(name) void name(const Call&);
#define NACRE_MOVE(name) void name(const Call&);
namespace reference {
#include "kernels/kernels.def"
}

const std::vector<KernelRow>& kernel_rows() {
  static const std::vector<KernelRow> rows = {
#define NACRE_KERNEL(name) {#name, extents::name},
#define NACRE_MOVE(name) {#name, extents::name},
#include "kernels/kernels.def"
  };
  return rows;
}

const std::vector<std::string>& map_op_names() {
  static const std::vector<std::string> names = {
#define NACRE_MAP_OP(name) #name,
#include "kernels/kernels.def"
  };
  return names;
}

namespace {

const std::vector<Kernel> kReference = {
#define NACRE_KERNEL(name) reference::name,
#define NACRE_MOVE(name) reference::name,
#include "kernels/kernels.def"
};
const std::vector<Kernel> kBaseline = {
#define NACRE_KERNEL(name) baseline::name,
#define NACRE_MOVE(name) reference::name,
#include "kernels/kernels.def"
};
#if defined(__x86_64__)
const std::vector<Kernel> kAvx2 = {
#define NACRE_KERNEL(name) avx2::name,
#define NACRE_MOVE(name) reference::name,
#include "kernels/kernels.def"
};
const std::vector<Kernel> kAvx512 = {
#define NACRE_KERNEL(name) avx512::name,
#define NACRE_MOVE(name) reference::name,
#include "kernels/kernels.def"
};
const std::vector<Kernel> kAvx512Bf16 = {
#define NACRE_KERNEL(name) avx512_bf16::name,
#define NACRE_MOVE(name) reference::name,
#include "kernels/kernels.def"
};
#endif

}  // namespace

const std::vector<Kernel>& kernels_for(const std::string& isa) {
  const auto known = available_isas();
  if (std::find(known.begin(), known.end(), isa) == known.end()) {
    std::string list;
    for (const auto& name : known) list += (list.empty() ? "" : ", ") + name;
    throw Error("This processor has no instruction set '" + isa + "'; it has " + list + ".");
  }
  if (isa == "reference") return kReference;
#if defined(__x86_64__)
  if (isa == "avx512_bf16") return kAvx512Bf16;
  if (isa == "avx512") return kAvx512;
  if (isa == "avx2") return kAvx2;
#endif
  return kBaseline;
}

}  // namespace nacre
