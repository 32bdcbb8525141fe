// Products in bfloat16 take numbers too small to be normal for 0, because the instructions that compute them do. While
// an active one of these lives, so does all other arithmetic of its thread.
#pragma once

#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace nacre {

class NoDenormals {
 public:
  [[gnu::always_inline]] explicit NoDenormals(bool active) : before_(get()) {
    if (active) set(before_ | kFlush);
  }
  [[gnu::always_inline]] ~NoDenormals() { set(before_); }
  NoDenormals(const NoDenormals&) = delete;
  NoDenormals& operator=(const NoDenormals&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr uint32_t kFlush = 0x8040;
  [[gnu::always_inline]] static uint32_t get() { return _mm_getcsr(); }
  [[gnu::always_inline]] static void set(uint32_t to) { _mm_setcsr(to); }
#elif defined(__aarch64__)
  static constexpr uint32_t kFlush = 1u << 24;
  [[gnu::always_inline]] static uint32_t get() { return __builtin_aarch64_get_fpcr(); }
  [[gnu::always_inline]] static void set(uint32_t to) { __builtin_aarch64_set_fpcr(to); }
#endif
  uint32_t before_;
};

}  // namespace nacre
