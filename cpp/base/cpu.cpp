#include "base/cpu.h"

namespace nacre {

std::vector<std::string> available_isas() {
  std::vector<std::string> names = {"reference", "baseline"};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v3")) names.push_back("avx2");
  if (__builtin_cpu_supports("x86-64-v4")) names.push_back("avx512");
  if (names.back() == "avx512" && __builtin_cpu_supports("avx512bf16")) names.push_back("avx512_bf16");
#endif
  return names;
}

}  // namespace nacre
