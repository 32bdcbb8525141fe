// Vectors of the instruction set this file is compiled for, and the arithmetic the kernels compute with.
//
// Everything here is inlined into its kernel: a function that were emitted once per instruction set under one name
// could be linked into the wrong one. Every result is defined lane by lane through fused multiply-adds in a fixed
// order, so the bits are the same for every width.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>
#if defined(__SSE2__)
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
typedef double D __attribute__((vector_size(kLanes * 4)));  // half as many lanes

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

// Integers that wrap around, as NumPy's do: signed ones of C++ may not.
NACRE_INLINE I plus(I a, I b) { return (I)((U)a + (U)b); }
NACRE_INLINE I minus(I a, I b) { return (I)((U)a - (U)b); }
NACRE_INLINE I times(I a, I b) { return (I)((U)a * (U)b); }

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

NACRE_INLINE D fma(D a, D b, D c) {
#if defined(__AVX512F__)
  return (D)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
  return (D)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  D r;
  for (int i = 0; i < kLanes / 2; ++i) r[i] = __builtin_fma(a[i], b[i], c[i]);
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

// Whether a mask is true in some lane: for what is rare and would cost every lane.
NACRE_INLINE bool any(I mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps((__m256)mask) != 0;
#elif defined(__SSE2__)
  return _mm_movemask_ps((__m128)mask) != 0;
#else
  int32_t found = 0;
  for (int i = 0; i < kLanes; ++i) found |= mask[i];
  return found != 0;
#endif
}

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

// The lower and the upper half of the lanes in double, and both back in float. Do not widen what was just narrowed:
// GCC 12 may take the two for nothing, and the rounding is lost.
NACRE_INLINE D widen_low(F x) {
#if defined(__AVX512F__)
  return (D)_mm512_maskz_cvtps_pd(0xFF, (__m256)_mm512_maskz_extractf64x4_pd(0xFF, (__m512d)x, 0));
#elif defined(__AVX2__)
  return (D)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)x));
#else
  D r;
  for (int i = 0; i < kLanes / 2; ++i) r[i] = x[i];
  return r;
#endif
}

NACRE_INLINE D widen_high(F x) {
#if defined(__AVX512F__)
  return (D)_mm512_maskz_cvtps_pd(0xFF, (__m256)_mm512_maskz_extractf64x4_pd(0xFF, (__m512d)x, 1));
#elif defined(__AVX2__)
  return (D)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)x, 1));
#else
  D r;
  for (int i = 0; i < kLanes / 2; ++i) r[i] = x[kLanes / 2 + i];
  return r;
#endif
}

NACRE_INLINE F narrow(D low, D high) {
#if defined(__AVX512F__)
  const __m256d first = (__m256d)_mm512_maskz_cvtpd_ps(0xFF, (__m512d)low);
  const __m256d second = (__m256d)_mm512_maskz_cvtpd_ps(0xFF, (__m512d)high);
  return (F)_mm512_maskz_insertf64x4(0xFF, _mm512_castpd256_pd512(first), second, 1);
#elif defined(__AVX2__)
  return (F)_mm256_set_m128(_mm256_cvtpd_ps((__m256d)high), _mm256_cvtpd_ps((__m256d)low));
#else
  F r;
  for (int i = 0; i < kLanes / 2; ++i) {
    r[i] = static_cast<float>(low[i]);
    r[kLanes / 2 + i] = static_cast<float>(high[i]);
  }
  return r;
#endif
}

// Bytes as lanes, and lanes below 256 as bytes.
NACRE_INLINE U widen_bytes(const uint8_t* from) {
#if defined(__AVX512F__)
  return (U)_mm512_maskz_cvtepu8_epi32(0xFFFF, load<__m128i>(from));
#elif defined(__AVX2__)
  return (U)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  U r;
  for (int i = 0; i < kLanes; ++i) r[i] = from[i];
  return r;
#endif
}

NACRE_INLINE void narrow_to_bytes(uint8_t* to, U lanes) {
#if defined(__AVX512F__)
  store(to, _mm512_maskz_cvtepi32_epi8(0xFFFF, (__m512i)lanes));
#elif defined(__AVX2__)
  const __m256i words = _mm256_packus_epi32((__m256i)lanes, (__m256i)lanes);
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0x08);
  const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_castsi256_si128(ordered));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), bytes);
#else
  for (int i = 0; i < kLanes; ++i) to[i] = static_cast<uint8_t>(lanes[i]);
#endif
}

NACRE_INLINE F floor(F x) {
  const F whole = to_float(to_int(x));
  const F down = whole - as_float((whole > x) & as_int(all(1.0f)));
  // Numbers of 2^23 and above, infinities and NaN have no fraction; the sign of zero is kept.
  const F signed_down = as_float(as_int(down) | (as_int(x) & INT32_MIN));
  return choose(abs(x) < 8388608.0f, signed_down, x);
}

// The lanes of two vectors, the second one's after the first one's, that `of` names for each lane.
template <auto of, int... l>
NACRE_INLINE F shuffle(F a, F b, std::integer_sequence<int, l...>) {
  return __builtin_shufflevector(a, b, of(l)...);
}

template <auto of>
NACRE_INLINE F shuffle(F a, F b) {
  return shuffle<of>(a, b, std::make_integer_sequence<int, kLanes>());
}

// Lanes of a vector and of the one `Step` further change places where they lie on the wrong side of the diagonal.
template <int Step>
NACRE_INLINE void exchange(F& a, F& b) {
  const F x = shuffle<[](int l) { return l & Step ? kLanes + l - Step : l; }>(a, b);
  const F y = shuffle<[](int l) { return l & Step ? kLanes + l : l + Step; }>(a, b);
  a = x;
  b = y;
}

template <int Step>
NACRE_INLINE void transpose(F (&rows)[kLanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i)
    if (!(i & Step)) exchange<Step>(rows[i], rows[i + Step]);
  if constexpr (Step > 1) transpose<Step / 2>(rows);
}

}  // namespace nacre::NACRE_ISA_NAMESPACE
