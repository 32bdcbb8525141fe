#include "base/cpu.h"

namespace nacre {

namespace {

// What the compiler was told it may use, for each set of kernels: the levels of the psABI.
#if defined(__x86_64__)
bool has_v3() {
#if defined(__clang__) && \
    __clang_major__ < 18  // knows no levels, and of their parts only these; the others came with them
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
#else
  return __builtin_cpu_supports("x86-64-v3");
#endif
}

bool has_v4() {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names = {"reference", "baseline"};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (has_v3()) names.push_back("avx2");
  if (has_v4()) names.push_back("avx512");
  if (names.back() == "avx512" && __builtin_cpu_supports("avx512bf16")) names.push_back("avx512_bf16");
#endif
  return names;
}

}  // namespace nacre
