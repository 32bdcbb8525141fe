// Vectors of the instruction set this file is compiled for, and the functions the kernels compute with.
//
// Everything here is inlined into its kernel: a function that were emitted once per instruction set under one name
// could be linked into the wrong one. Every result is defined lane by lane through fused multiply-adds in a fixed
// order, so the bits are the same for every width.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#define NACRE_INLINE [[gnu::always_inline]] static inline

namespace nacre::NACRE_ISA_NAMESPACE {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float F __attribute__((vector_size(kLanes * 4)));
typedef int32_t I __attribute__((vector_size(kLanes * 4)));
typedef uint32_t U __attribute__((vector_size(kLanes * 4)));

template <typename V>
NACRE_INLINE V load(const void* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <typename V>
NACRE_INLINE void store(void* to, V v) {
  __builtin_memcpy(to, &v, sizeof v);
}

NACRE_INLINE F all(float x) { return x - F{}; }
NACRE_INLINE I all(int32_t x) { return x - I{}; }
NACRE_INLINE U all(uint32_t x) { return x - U{}; }

NACRE_INLINE F as_float(I x) { return (F)x; }
NACRE_INLINE I as_int(F x) { return (I)x; }

// a * b + c, rounded once.
NACRE_INLINE F fma(F a, F b, F c) {
#if defined(__AVX512F__)
  return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (F)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  F r;
  for (int i = 0; i < kLanes; ++i) r[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return r;
#endif
}

NACRE_INLINE F sqrt(F x) {
#if defined(__AVX512F__)
  return (F)_mm512_maskz_sqrt_ps(0xFFFF, (__m512)x);  // the plain form trips a warning in GCC 12
#elif defined(__AVX2__)
  return (F)_mm256_sqrt_ps((__m256)x);
#else
  F r;
  for (int i = 0; i < kLanes; ++i) r[i] = __builtin_sqrtf(x[i]);
  return r;
#endif
}

NACRE_INLINE F choose(I mask, F a, F b) { return mask ? a : b; }
NACRE_INLINE I choose(I mask, I a, I b) { return mask ? a : b; }

NACRE_INLINE F abs(F x) { return as_float(as_int(x) & 0x7fffffff); }

// NaN if either is NaN, as NumPy's maximum and minimum.
NACRE_INLINE F larger(F a, F b) { return choose((a > b) | (a != a), a, b); }
NACRE_INLINE F smaller(F a, F b) { return choose((a < b) | (a != a), a, b); }

// Round to the nearest integer, ties to even; for |x| < 2^22.
NACRE_INLINE F nearest(F x) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: the fraction falls off the end of the mantissa
  return (x + kMagic) - kMagic;
}

NACRE_INLINE I to_int(F x) { return __builtin_convertvector(x, I); }
NACRE_INLINE F to_float(I x) { return __builtin_convertvector(x, F); }

NACRE_INLINE F floor(F x) {
  const F whole = to_float(to_int(x));
  const F down = whole - as_float((whole > x) & as_int(all(1.0f)));
  // Numbers of 2^23 and above, infinities and NaN have no fraction; the sign of zero is kept.
  const F signed_down = as_float(as_int(down) | (as_int(x) & INT32_MIN));
  return choose(abs(x) < 8388608.0f, signed_down, x);
}

// 2^n for -126 <= n <= 127.
NACRE_INLINE F power_of_two(I n) { return as_float((n + 127) << 23); }

constexpr float kLog2e = 1.44269504088896341f;
constexpr float kLn2High = 0.693359375f;  // nine bits, so that multiples are exact
constexpr float kLn2Low = -2.12194440e-4f;

// e^r - 1 for |r| <= ln(2)/2, as r + r^2 (1/2 + r/6 + ...): the tail of the series, evaluated by Horner's rule.
NACRE_INLINE F expm1_small(F r) {
  F p = fma(all(1.0f / 40320), r, all(1.0f / 5040));
  p = fma(p, r, all(1.0f / 720));
  p = fma(p, r, all(1.0f / 120));
  p = fma(p, r, all(1.0f / 24));
  p = fma(p, r, all(1.0f / 6));
  p = fma(p, r, all(0.5f));
  return fma(p * r, r, r);
}

NACRE_INLINE F reduce_by_ln2(F x, F n) { return fma(n, all(-kLn2Low), fma(n, all(-kLn2High), x)); }

NACRE_INLINE F exp(F x) {
  const F inside = choose(x < 89.0f, choose(x > -104.5f, x, all(-104.5f)), choose(x != x, x, all(89.0f)));
  const F n = nearest(choose(x == x, inside, all(0.0f)) * kLog2e);
  const F p = expm1_small(reduce_by_ln2(inside, n));
  // The scaling takes two steps, since 2^n may lie outside of the range of either one.
  const I whole = to_int(n), half = whole >> 1;
  return (p + 1.0f) * power_of_two(half) * power_of_two(whole - half);
}

// For |x| <= 80; accurate near 0.
NACRE_INLINE F expm1_moderate(F x) {
  const F n = nearest(x * kLog2e);
  const F scale = power_of_two(to_int(n));
  return fma(scale, expm1_small(reduce_by_ln2(x, n)), scale - 1.0f);
}

NACRE_INLINE F log(F x) {
  // x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2); denormals are scaled up first.
  const I tiny = x < 1.17549435e-38f;
  const F scaled = choose(tiny, x * 8388608.0f, x);
  const I bits = as_int(scaled) - 0x3f3504f3;  // sqrt(1/2)
  const I k = (bits >> 23) - (tiny & 23);
  const F f = as_float((bits & 0x007fffff) + 0x3f3504f3) - 1.0f;
  // log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)) with s = f / (2 + f); R is the tail of the series of artanh.
  const F s = f / (f + 2.0f);
  const F z = s * s;
  F r = fma(all(2.0f / 13), z, all(2.0f / 11));
  r = fma(r, z, all(2.0f / 9));
  r = fma(r, z, all(2.0f / 7));
  r = fma(r, z, all(2.0f / 5));
  r = fma(r, z, all(2.0f / 3)) * z;
  const F half_square = 0.5f * f * f;
  const F exponent = to_float(k);
  const F tail = fma(s, half_square + r, exponent * kLn2Low);
  const F y = fma(exponent, all(kLn2High), f - (half_square - tail));
  const F special = choose(x == 0.0f, all(-__builtin_inff()), choose(x > 0.0f, x, all(__builtin_nanf(""))));
  return choose((x > 0.0f) & (x < __builtin_inff()), y, special);
}

NACRE_INLINE F tanh(F x) {
  const F size = smaller(abs(x), all(10.0f));  // tanh(10) rounds to 1
  const F t = expm1_moderate(choose(size == size, size + size, all(0.0f)));
  const F y = as_float(as_int(t / (t + 2.0f)) | (as_int(x) & INT32_MIN));
  return choose(x == x, y, x);
}

NACRE_INLINE F sigmoid(F x) {
  const F e = exp(-abs(x));
  return choose(x < 0.0f, e, all(1.0f)) / (e + 1.0f) + choose(x == x, all(0.0f), x);
}

}  // namespace nacre::NACRE_ISA_NAMESPACE
