// The elementary functions, on vectors.
//
// Each result is made lane by lane of additions, multiplications, divisions and fused multiply-adds in a fixed order,
// so that every width gives the same bits, on any system. For every float the error is below 2 units in the last place,
// for all but expm1, tanh and sigmoid hardly above 1 (tests/parity/test_functions.py); zeros with signs, infinities and
// NaN are treated as in C.
//
// The polynomials are minimax approximations of the tail of a series, named beside them, for the smallest relative
// error of the function over the stated range: found by the exchange algorithm of Remez in 60 digits, then rounded to
// float.
#pragma once

#include "kernels/simd/vector.h"

namespace nacre::NACRE_ISA_NAMESPACE {

// By Horner's rule; coefficients from the lowest power up.
template <typename V, typename T, int N>
NACRE_INLINE V polynomial(V x, const T (&coefficients)[N]) {
  V y = coefficients[N - 1] - V{};
  for (int n = N - 2; n >= 0; --n) y = fma(y, x, coefficients[n] - V{});
  return y;
}

// y with the sign of x; y is positive, or has it already. For zeros and what is made of an absolute value.
NACRE_INLINE F with_sign_of(F x, F y) { return as_float(as_int(y) | (as_int(x) & INT32_MIN)); }

constexpr float kInfinity = __builtin_inff(), kNan = __builtin_nanf("");

// ---------------------------------------------------------------- exponentials

// 2^n for -126 <= n <= 127.
NACRE_INLINE F power_of_two(I n) { return as_float((n + 127) << 23); }

// y 2^n for whole -252 <= n <= 254 and a y so large that y 2^(n/2) is exact. In two steps, since 2^n may lie outside of
// the range of either one; or by the instruction for it, which rounds as the second step does.
NACRE_INLINE F scale(F y, F n) {
#if defined(__AVX512F__)
  return (F)_mm512_maskz_scalef_ps(0xFFFF, (__m512)y, (__m512)n);
#else
  const I whole = to_int(n), half = whole >> 1;
  return y * power_of_two(half) * power_of_two(whole - half);
#endif
}

// ln(2) is the sum of the two. Where n is the whole number nearest to x / ln(2), x - n kLn2 is exact.
constexpr float kLog2e = 1.44269504f, kLn2 = 0.693147182f, kLn2Rest = -1.9046543e-09f;

NACRE_INLINE F reduce_by_ln2(F x, F n) { return fma(n, all(-kLn2Rest), fma(n, all(-kLn2), x)); }

// e^r - 1, to be added to 1: e^r = 1 + r + r^2 p(r) for |r| <= ln(2)/2.
NACRE_INLINE F expm1_small(F r) {
  const F p = polynomial(r, {0.49999994f, 0.166665182f, 0.0416684225f, 0.00836906396f, 0.00138138991f});
  return fma(p * r, r, r);
}

// For |x| <= 80, and NaN.
NACRE_INLINE F exp_moderate(F x) {
  const F n = nearest(x * kLog2e);
  return scale(expm1_small(reduce_by_ln2(x, n)) + 1.0f, n);
}

NACRE_INLINE F exp(F x) {
  const F above = choose(x < -104.5f, all(-104.5f), x);  // NaN stays, and what is too large becomes infinite by itself
  const F n = nearest(choose(above < 89.0f, above, all(89.0f)) * kLog2e);
  return scale(expm1_small(reduce_by_ln2(above, n)) + 1.0f, n);
}

NACRE_INLINE F expm1(F x) {
  const F above = choose(x < -20.0f, all(-20.0f), x);  // there it rounds to -1
  // x = n ln(2) + r and e^x - 1 = 2^n (e^r - 1) + 2^n - 1. Around 0 n is 0, though r may pass ln(2)/2: that sum would
  // cancel.
  F n = nearest(choose(above < 89.0f, above, all(89.0f)) * kLog2e);
  n = choose(abs(x) < 0.5f, all(0.0f), n);
  const F r = reduce_by_ln2(above, n);
  // e^r - 1 = r + r^2 p(r) for |r| <= 1/2.
  const F p =
      polynomial(r, {0.50000006f, 0.166666642f, 0.0416653603f, 0.00833357871f, 0.00139961764f, 0.000198498077f});
  const F small = fma(p * r, r, r);
  const I whole = to_int(n), high = whole > 127;  // 2^128 would be infinite
  const F power = power_of_two(whole + high);
  const F y = fma(power, small, power - 1.0f);
  return with_sign_of(x, choose(high, y + y, y));
}

// ---------------------------------------------------------------- logarithms

// A positive x = 2^exponent (1 + fraction) with 3/4 <= 1 + fraction < 3/2.
struct Split {
  F exponent, fraction;
};

constexpr int32_t kThreeQuarters = 0x3f400000;

NACRE_INLINE Split split(F x) {
  const I tiny = x < 1.17549435e-38f;
  const I bits = minus(as_int(choose(tiny, x * 8388608.0f, x)), all(kThreeQuarters));
  return {to_float((bits >> 23) - (tiny & 23)), as_float((bits & 0x007fffff) + kThreeQuarters) - 1.0f};
}

// exponent ln(2) + log(1 + f) with log(1 + f) = f - f^2/2 + f^3 p(f) for -1/4 <= f <= 1/2.
NACRE_INLINE F log_of(const Split& x) {
  const F f = x.fraction;
  const F p = polynomial(f, {0.333334506f, -0.250000954f, 0.199908614f, -0.16647312f, 0.144783944f, -0.131611928f,
                             0.104630224f, -0.0450748168f});
  const F tail = fma(f * f, fma(f, p, all(-0.5f)), x.exponent * kLn2Rest);
  return fma(x.exponent, all(kLn2), f + tail);
}

// What the logarithm of x is where it is not an ordinary number: at 0, below, at infinity and NaN.
NACRE_INLINE F log_special(F x) { return choose(x == 0.0f, all(-kInfinity), choose(x < 0.0f, all(kNan), x)); }

NACRE_INLINE F log(F x) { return choose((x > 0.0f) & (x < kInfinity), log_of(split(x)), log_special(x)); }

NACRE_INLINE F log1p(F x) {
  // 1 + x decides about the exponent; the fraction 2^-k (1 + x) - 1 is made of x itself.
  const I k = minus(as_int(x + 1.0f), all(kThreeQuarters)) >> 23;
  const F power = power_of_two(2 - k) * 0.25f;  // in two steps, since 2^-128 is denormal
  const F y = log_of({to_float(k), fma(power, x, power - 1.0f)});
  const I ordinary = (x > -1.0f) & (x < kInfinity);
  return choose(ordinary, with_sign_of(x, y), log_special(x + 1.0f));
}

// ---------------------------------------------------------------- curves from 0 or -1 to 1

NACRE_INLINE F sigmoid(F x) {
  // y = e / (1 + e) for e = e^-|x|, or 1 - y. Three roundings would add up to more than 2 units below a power of two;
  // what those of e and of 1 + e leave off is made good, by the derivatives of the quotient.
  const F size = choose(abs(x) > 104.5f, all(104.5f), abs(x));
  const F n = nearest(size * -kLog2e);
  const F p = expm1_small(reduce_by_ln2(-size, n)), sum = p + 1.0f;
  const F e = scale(sum, n), e_rest = scale(p - (sum - 1.0f), n);
  const F total = e + 1.0f, total_rest = e - (total - 1.0f);
  const F rough = e / total;
  const F y = fma(fma(-rough, total_rest, e_rest), 1.0f - rough, rough);
  return choose(x < 0.0f, y, 1.0f - y);
}

NACRE_INLINE F tanh(F x) {
  // x + x^3 p(x^2) for |x| <= 0.55. Above, the error of the exponential weighs at most half.
  const F z = x * x;
  const F p = polynomial(z, {-0.333333164f, 0.13332586f, -0.0538523085f, 0.0210716799f, -0.00627423963f});
  const F near = fma(p * z, x, x);
  const F size = choose(abs(x) > 10.0f, all(10.0f), abs(x));  // tanh(10) rounds to 1
  const F far = 1.0f - 2.0f / (exp_moderate(size + size) + 1.0f);
  return with_sign_of(x, choose(size < 0.55f, near, far));
}

NACRE_INLINE F erf(F x) {
  // x + x p(x^2) for |x| <= 1; above, 1 - e^q(|x|), where q is the logarithm of 1 - erf, up to 4, where erf rounds
  // to 1.
  const F p = polynomial(x * x, {0.128379166f, -0.37612626f, 0.112835854f, -0.0268538129f, 0.00518832775f,
                                 -0.000801019545f, 7.85386728e-05f});
  const F size = choose(abs(x) > 4.0f, all(4.0f), abs(x));
  const F q = polynomial(size, {-0.000341583043f, -1.1270889f, -0.638145268f, -0.103106372f, 0.0218378752f,
                                -0.0029476101f, 0.000186374193f});
  return with_sign_of(x, choose(size < 1.0f, fma(p, x, x), 1.0f - exp_moderate(q)));
}

// ---------------------------------------------------------------- sine and cosine

// An angle is a number of right angles and a rest of at most 45 degrees, in two parts that do not overlap.
struct Angle {
  I quadrant;
  F rest, rest_low;
};

// 2/pi = 0.A2F9836E... in base 16, after 64 zeros.
constexpr uint64_t kTwoOverPi[] = {0, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561};

// One lane of an angle, for x >= 2^17, or infinite. x = m 2^e, and m times the 128 bits of 2/pi that weigh less than 4
// when multiplied by 2^e is the quadrant, in two bits, and the fraction of one, in 126.
NACRE_INLINE void reduce_large(float x, Angle& angle, int lane) {
  if (x == kInfinity) {
    angle.rest[lane] = kNan;
    return;
  }
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  const uint32_t m = (bits & 0x7fffff) | 0x800000, first = (bits >> 23) - 150 + 62, shift = first % 64;
  const uint64_t* word = kTwoOverPi + first / 64;
  using Wide = unsigned __int128;
  const Wide window = ((Wide{word[0]} << 64 | word[1]) << shift) | (Wide{word[2]} << shift >> 64);
  const Wide turns = window * m, quadrant = (turns + (Wide{1} << 125)) >> 126;
  const auto fraction = static_cast<int64_t>((turns - (quadrant << 126)) >> 64);
  const double rest = static_cast<double>(fraction) * (0x1.921fb54442d18p+0 * 0x1p-62);  // pi/2
  angle.quadrant[lane] = static_cast<int32_t>(quadrant);
  angle.rest[lane] = static_cast<float>(rest);
  angle.rest_low[lane] = static_cast<float>(rest - static_cast<double>(angle.rest[lane]));
}

// For x >= 0.
NACRE_INLINE Angle reduce_by_right_angles(F x) {
  // pi/2 is the sum of three. The first product with a whole number is subtracted without rounding; what is rounded off
  // the second, and off its difference, goes with the third to the lower part of the rest.
  constexpr float kHigh = 1.57079637f, kMiddle = -4.37113883e-08f, kLow = -1.7151245e-15f, kLarge = 131072.0f;
  const F n = nearest(choose(x < kLarge, x, all(0.0f)) * 0.636619772f);  // 2/pi
  const F first = fma(n, all(-kHigh), x), second = n * -kMiddle;
  Angle angle = {to_int(n), first + second, {}};
  angle.rest_low = ((first - angle.rest) + second) + fma(n, all(-kLow), fma(n, all(-kMiddle), -second));
  if (any(x >= kLarge))
    for (int lane = 0; lane < kLanes; ++lane)
      if (x[lane] >= kLarge) reduce_large(x[lane], angle, lane);
  return angle;
}

// Sine, with the sign bit of `flip` turned over; the cosine is the sine of the next quadrant.
NACRE_INLINE F sine(const Angle& angle, I quadrant, I flip) {
  const F r = angle.rest, z = r * r;
  // sin(r) = r + r^3 p(r^2) and cos(r) = 1 - r^2/2 + r^4 q(r^2) for |r| <= 0.8.
  const F p = polynomial(z, {-0.166666538f, 0.00833207089f, -0.000195030676f});
  const F q = polynomial(z, {0.0416666418f, -0.00138871942f, 2.44191961e-05f});
  const F sin = r + fma(z * r, p, angle.rest_low);
  const F half = 0.5f * z, near = 1.0f - half;
  const F cos = near + fma(z * z, q, fma(-r, angle.rest_low, (1.0f - near) - half));
  const F y = choose((quadrant & 1) != 0, cos, sin);
  return as_float(as_int(y) ^ ((quadrant << 30 ^ flip) & INT32_MIN));
}

NACRE_INLINE F sin(F x) {
  const Angle angle = reduce_by_right_angles(abs(x));
  return sine(angle, angle.quadrant, as_int(x));
}

NACRE_INLINE F cos(F x) {
  const Angle angle = reduce_by_right_angles(abs(x));
  return sine(angle, angle.quadrant + 1, I{});
}

// ---------------------------------------------------------------- powers

// y (exponent + log2(1 + f)): a power magnifies an error of the logarithm up to 128 times, so this is done in double.
// log2(1 + f) = f p(f) for -1/4 <= f <= 1/2; even and odd powers apart, for one chain would be long to wait for.
NACRE_INLINE D times_log2(D y, D exponent, D f) {
  const D z = f * f;
  const D even = polynomial(z, {1.4426950409106452, 0.48089833264109161, 0.28854042802835728, 0.20605685839131513,
                                0.1605030549668032, 0.13879323683984804, 0.037989961466710645});
  const D odd = polynomial(z, {-0.72134752083150688, -0.36067365347032709, -0.24045841757967745, -0.1800036469015189,
                               -0.14920810094040676, -0.10204115473289638});
  return y * fma(f, fma(odd, f, even), exponent);
}

// y where the logarithm of x, or y, is no ordinary number; `z` is the power of |x| where it is.
NACRE_INLINE F power_special(F x, F y, F z) {
  const F size = abs(x), infinite = all(kInfinity);
  const I whole = floor(y) == y, odd = whole & (floor(y * 0.5f) != y * 0.5f);
  const I endless = (size == 0.0f) | (size == infinite) | (abs(y) == infinite);
  z = choose(endless, choose((size > 1.0f) == (y > 0.0f), infinite, all(0.0f)), z);
  z = as_float(as_int(z) | (as_int(x) & odd & INT32_MIN));
  z = choose((x != x) | (y != y) | ((x < 0.0f) & (size < infinite) & ~whole), all(kNan), z);
  return choose((x == 1.0f) | (y == 0.0f) | ((size == 1.0f) & (abs(y) == infinite)), all(1.0f), z);
}

NACRE_INLINE F power(F x, F y) {
  const Split parts = split(abs(x));
  const D low = times_log2(widen_low(y), widen_low(parts.exponent), widen_low(parts.fraction));
  const D high = times_log2(widen_high(y), widen_high(parts.exponent), widen_high(parts.fraction));
  // 2^(n + r) = 2^n (1 + r p(r)) for |r| <= 1/2, and n alone where that is 0 or infinite.
  const F product = narrow(low, high);
  const I inside = (product > -152.0f) & (product < 129.0f);
  const F n = nearest(choose(inside, product, choose(product < 0.0f, all(-152.0f), all(129.0f))));
  const F r = choose(inside, narrow(low - widen_low(n), high - widen_high(n)), all(0.0f));
  const F p =
      polynomial(r, {0.693147182f, 0.240226477f, 0.0555033125f, 0.00961844251f, 0.00133993907f, 0.000153529501f});
  const F z = scale(fma(r, p, all(1.0f)), n);
  const I ordinary = (x > 0.0f) & (x < kInfinity) & (abs(y) < kInfinity);
  return any(~ordinary) ? power_special(x, y, z) : z;
}

}  // namespace nacre::NACRE_ISA_NAMESPACE
