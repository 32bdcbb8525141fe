//// float_of
// The float with these bits, and the bits of a float.
static float nacre_float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

//// bits_of
static uint32_t nacre_bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

//// with_sign_of
// y with the sign of x; y is positive, or has it already.
static float nacre_with_sign_of(float x, float y) {
  return nacre_float_of(nacre_bits_of(y) | (nacre_bits_of(x) & 0x80000000u));
}

//// whole
// A float without its fraction; what no int32 can hold is the least one.
static int32_t nacre_whole(float x) { return x >= -2147483648.0f && x < 2147483648.0f ? (int32_t)x : INT32_MIN; }

//// nearest
// Round to the nearest integer, ties to even; for |x| < 2^22.
static float nacre_nearest(float x) { return (x + 12582912.0f) - 12582912.0f; }

//// polynomial
// By Horner's rule; coefficients from the lowest power up.
static float nacre_polynomial(float x, const float *coefficients, int count) {
  float y = coefficients[count - 1];
  for (int n = count - 2; n >= 0; --n) y = fmaf(y, x, coefficients[n]);
  return y;
}

//// power_of_two
// 2^n for -126 <= n <= 127.
static float nacre_power_of_two(int32_t n) { return nacre_float_of(((uint32_t)n + 127u) << 23); }

//// scale
// y 2^n for -252 <= n <= 254. In two steps, since 2^n may lie outside of the range of either one.
static float nacre_scale(float y, int32_t n) {
  const int32_t half = n >> 1;
  return y * nacre_power_of_two(half) * nacre_power_of_two(n - half);
}

//// reduce_by_ln2
// x - n ln(2), where n is the whole number nearest to x / ln(2).
static float nacre_reduce_by_ln2(float x, float n) { return fmaf(n, 1.9046543e-09f, fmaf(n, -0.693147182f, x)); }

//// expm1_small
// e^r - 1 for |r| <= ln(2)/2.
static float nacre_expm1_small(float r) {
  static const float c[] = {0.49999994f, 0.166665182f, 0.0416684225f, 0.00836906396f, 0.00138138991f};
  return fmaf(nacre_polynomial(r, c, 5) * r, r, r);
}

//// exp_moderate
// For |x| <= 80, and NaN.
static float nacre_exp_moderate(float x) {
  const float n = nacre_nearest(x * 1.44269504f);
  return (nacre_expm1_small(nacre_reduce_by_ln2(x, n)) + 1.0f) * nacre_power_of_two(nacre_whole(n));
}

//// exp
static float nacre_exp(float x) {
  const float above = x < -104.5f ? -104.5f : x;  // NaN stays, and what is too large becomes infinite by itself
  const float n = nacre_nearest((above < 89.0f ? above : 89.0f) * 1.44269504f);
  return nacre_scale(nacre_expm1_small(nacre_reduce_by_ln2(above, n)) + 1.0f, nacre_whole(n));
}

//// expm1
static float nacre_expm1(float x) {
  static const float c[] = {0.50000006f, 0.166666642f, 0.0416653603f, 0.00833357871f, 0.00139961764f, 0.000198498077f};
  const float above = x < -20.0f ? -20.0f : x;  // there it rounds to -1
  const float n = fabsf(x) < 0.5f ? 0.0f : nacre_nearest((above < 89.0f ? above : 89.0f) * 1.44269504f);
  const float r = nacre_reduce_by_ln2(above, n);
  const float small = fmaf(nacre_polynomial(r, c, 6) * r, r, r);
  const int32_t whole = nacre_whole(n);
  const float power = nacre_power_of_two(whole > 127 ? whole - 1 : whole);  // 2^128 would be infinite
  const float y = fmaf(power, small, power - 1.0f);
  return nacre_with_sign_of(x, whole > 127 ? y + y : y);
}

//// log_of
// The logarithm of 2^exponent (1 + f) for -1/4 <= f <= 1/2.
static float nacre_log_of(float exponent, float f) {
  static const float c[] = {0.333334506f, -0.250000954f, 0.199908614f, -0.16647312f,
                            0.144783944f, -0.131611928f, 0.104630224f, -0.0450748168f};
  const float tail = fmaf(f * f, fmaf(f, nacre_polynomial(f, c, 8), -0.5f), exponent * -1.9046543e-09f);
  return fmaf(exponent, 0.693147182f, f + tail);
}

//// log_special
// The logarithm at 0, below, at infinity and NaN.
static float nacre_log_special(float x) { return x == 0.0f ? -INFINITY : x < 0.0f ? NAN : x; }

//// split
// A positive x = 2^exponent (1 + fraction) with 3/4 <= 1 + fraction < 3/2.
static float nacre_split(float x, float *exponent) {
  const int tiny = x < 1.17549435e-38f;
  const int32_t bits = (int32_t)(nacre_bits_of(tiny ? x * 8388608.0f : x) - 0x3f400000u);
  *exponent = (float)((bits >> 23) - (tiny ? 23 : 0));
  return nacre_float_of(((uint32_t)bits & 0x007fffffu) + 0x3f400000u) - 1.0f;
}

//// log
static float nacre_log(float x) {
  float exponent, fraction;
  if (!(x > 0.0f && x < INFINITY)) return nacre_log_special(x);
  fraction = nacre_split(x, &exponent);
  return nacre_log_of(exponent, fraction);
}

//// log1p
static float nacre_log1p(float x) {
  // 1 + x decides about the exponent; the fraction 2^-k (1 + x) - 1 is made of x itself.
  const int32_t k = (int32_t)(nacre_bits_of(x + 1.0f) - 0x3f400000u) >> 23;
  const float power = nacre_power_of_two(2 - k) * 0.25f;  // in two steps, since 2^-128 is denormal
  if (!(x > -1.0f && x < INFINITY)) return nacre_log_special(x + 1.0f);
  return nacre_with_sign_of(x, nacre_log_of((float)k, fmaf(power, x, power - 1.0f)));
}

//// sigmoid
static float nacre_sigmoid(float x) {
  // y = e / (1 + e) for e = e^-|x|, or 1 - y; what e and 1 + e were rounded by is made good.
  const float size = fabsf(x) > 104.5f ? 104.5f : fabsf(x);
  const float n = nacre_nearest(size * -1.44269504f);
  const int32_t whole = nacre_whole(n);
  const float p = nacre_expm1_small(nacre_reduce_by_ln2(-size, n)), sum = p + 1.0f;
  const float e = nacre_scale(sum, whole), e_rest = nacre_scale(p - (sum - 1.0f), whole);
  const float total = e + 1.0f, total_rest = e - (total - 1.0f), rough = e / total;
  const float y = fmaf(fmaf(-rough, total_rest, e_rest), 1.0f - rough, rough);
  return x < 0.0f ? y : 1.0f - y;
}

//// tanh
static float nacre_tanh(float x) {
  static const float c[] = {-0.333333164f, 0.13332586f, -0.0538523085f, 0.0210716799f, -0.00627423963f};
  const float z = x * x, near = fmaf(nacre_polynomial(z, c, 5) * z, x, x);
  const float size = fabsf(x) > 10.0f ? 10.0f : fabsf(x);  // tanh(10) rounds to 1
  const float far = 1.0f - 2.0f / (nacre_exp_moderate(size + size) + 1.0f);
  return nacre_with_sign_of(x, size < 0.55f ? near : far);
}

//// erf
static float nacre_erf(float x) {
  static const float c[] = {0.128379166f,   -0.37612626f,    0.112835854f,  -0.0268538129f,
                            0.00518832775f, -0.000801019545f, 7.85386728e-05f};
  static const float d[] = {-0.000341583043f, -1.1270889f,   -0.638145268f, -0.103106372f,
                            0.0218378752f,    -0.0029476101f, 0.000186374193f};
  const float size = fabsf(x) > 4.0f ? 4.0f : fabsf(x);  // erf(4) rounds to 1
  const float near = fmaf(nacre_polynomial(x * x, c, 7), x, x);
  const float far = 1.0f - nacre_exp_moderate(nacre_polynomial(size, d, 7));
  return nacre_with_sign_of(x, size < 1.0f ? near : far);
}

//// sine
// Sine of x >= 0, or of the angle so many right angles further on; with the sign bit of `flip` turned over.
static float nacre_sine(float x, int32_t further, uint32_t flip) {
  static const float c[] = {-0.166666538f, 0.00833207089f, -0.000195030676f};
  static const float d[] = {0.0416666418f, -0.00138871942f, 2.44191961e-05f};
  static const uint64_t two_over_pi[] = {0, 0xa2f9836e4e441529u, 0xfc2757d1f534ddc0u, 0xdb6295993c439041u,
                                         0xfe5163abdebbc561u};
  int32_t quadrant;
  float r, low;
  if (x < 131072.0f) {
    // pi/2 is the sum of three; what is rounded off goes to the lower part of the rest.
    const float n = nacre_nearest(x * 0.636619772f);
    const float first = fmaf(n, -1.57079637f, x), second = n * 4.37113883e-08f;
    quadrant = nacre_whole(n);
    r = first + second;
    low = ((first - r) + second) + fmaf(n, 1.7151245e-15f, fmaf(n, 4.37113883e-08f, -second));
  } else if (x < INFINITY) {
    // x = m 2^e: m times those bits of 2/pi that count is the quadrant, in two bits, and the fraction of one, in 126.
    const uint32_t bits = nacre_bits_of(x), m = (bits & 0x7fffffu) | 0x800000u, at = (bits >> 23) - 150 + 62;
    const uint64_t *word = two_over_pi + at / 64;
    const uint32_t shift = at % 64;
    const uint64_t high = shift ? word[0] << shift | word[1] >> (64 - shift) : word[0];
    const uint64_t next = shift ? word[1] << shift | word[2] >> (64 - shift) : word[1];
    const uint64_t carried = ((next & 0xffffffffu) * m >> 32) + (next >> 32) * m;
    const uint64_t turns = high * m + (carried >> 32), turned = (turns + ((uint64_t)1 << 61)) >> 62;
    const double rest = (double)(int64_t)(turns - (turned << 62)) * (1.5707963267948966 / 4611686018427387904.0);
    quadrant = (int32_t)turned;
    r = (float)rest;
    low = (float)(rest - (double)r);
  } else {
    return NAN;
  }
  quadrant += further;
  {
    const float z = r * r, half = 0.5f * z, near = 1.0f - half;
    const float sine = r + fmaf(z * r, nacre_polynomial(z, c, 3), low);
    const float cosine = near + fmaf(z * z, nacre_polynomial(z, d, 3), fmaf(-r, low, (1.0f - near) - half));
    const uint32_t turn = ((uint32_t)quadrant << 30 ^ flip) & 0x80000000u;
    return nacre_float_of(nacre_bits_of(quadrant & 1 ? cosine : sine) ^ turn);
  }
}

//// sin
static float nacre_sin(float x) { return nacre_sine(fabsf(x), 0, nacre_bits_of(x)); }

//// cos
static float nacre_cos(float x) { return nacre_sine(fabsf(x), 1, 0); }

//// power_special
// A power where the logarithm of x, or y, is no ordinary number; z is the power of |x| where it is.
static float nacre_power_special(float x, float y, float z) {
  const float size = fabsf(x);
  const int whole = floorf(y) == y, odd = whole && floorf(y * 0.5f) != y * 0.5f;
  if (x == 1.0f || y == 0.0f || (size == 1.0f && fabsf(y) == INFINITY)) return 1.0f;
  if (x != x || y != y || (x < 0.0f && size < INFINITY && !whole)) return NAN;
  if (size == 0.0f || size == INFINITY || fabsf(y) == INFINITY) z = (size > 1.0f) == (y > 0.0f) ? INFINITY : 0.0f;
  return odd ? nacre_with_sign_of(x, z) : z;
}

//// power
static float nacre_power(float x, float y) {
  // A power magnifies an error of the logarithm up to 128 times, so that is made in double.
  static const double even[] = {1.4426950408906452,  0.48089833264109161, 0.28854042802835728, 0.20605685839131513,
                                0.1605030549668032, 0.13879323683984804, 0.037989961466710645};
  static const double odd[] = {-0.72134752083150688, -0.36067365347032709, -0.24045841757967745,
                               -0.1800036469015189,  -0.14920810094040676, -0.10204115473289638};
  static const float c[] = {0.693147182f,   0.240226477f,   0.0555033125f,
                            0.00961844251f, 0.00133993907f, 0.000153529501f};
  float exponent;
  const double f = nacre_split(fabsf(x), &exponent), z = f * f;
  double p = even[6], q = odd[5], exact;
  float product, n, r, result;
  for (int k = 5; k >= 0; --k) p = fma(p, z, even[k]);
  for (int k = 4; k >= 0; --k) q = fma(q, z, odd[k]);
  exact = (double)y * fma(f, fma(q, f, p), (double)exponent);
  product = (float)exact;
  if (product > -152.0f && product < 129.0f) {
    n = nacre_nearest(product);
    r = (float)(exact - (double)n);
  } else {
    n = product < 0.0f ? -152.0f : 129.0f;
    r = 0.0f;
  }
  result = nacre_scale(fmaf(r, nacre_polynomial(r, c, 6), 1.0f), nacre_whole(n));
  return x > 0.0f && x < INFINITY && fabsf(y) < INFINITY ? result : nacre_power_special(x, y, result);
}

//// bfloat16
// To the nearest number of bfloat16, ties to even; what is too small to be normal becomes 0.
static float nacre_bfloat16(float x) {
  const uint32_t bits = nacre_bits_of(x), size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return nacre_float_of((bits | 0x00400000u) & 0xffff0000u);
  if (size < 0x00800000u) return nacre_float_of(bits & 0x80000000u);
  return nacre_float_of((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
}

//// matmul
// y (m, n) = a (m, k) times b (k, n), each number one chain over k. With `swapped`, of each two neighbors in the
// chain the second comes first.
static void nacre_matmul(const float *NACRE_RESTRICT a, const float *NACRE_RESTRICT b, float *NACRE_RESTRICT y, int m,
                         int k, int n, int swapped) {
  for (int i = 0; i < m; ++i, a += k, y += n) {
    int p = 0;
    for (int j = 0; j < n; ++j) y[j] = 0.0f;
    for (; p + 4 <= k; p += 4) {
      const float x0 = a[p + swapped], x1 = a[p + 1 - swapped], x2 = a[p + 2 + swapped], x3 = a[p + 3 - swapped];
      const float *b0 = b + (p + swapped) * n, *b1 = b + (p + 1 - swapped) * n;
      const float *b2 = b + (p + 2 + swapped) * n, *b3 = b + (p + 3 - swapped) * n;
      for (int j = 0; j < n; ++j)
        y[j] = NACRE_MADD(x3, b3[j], NACRE_MADD(x2, b2[j], NACRE_MADD(x1, b1[j], NACRE_MADD(x0, b0[j], y[j]))));
    }
    for (; p < k; ++p) {
      const int q = swapped && (p ^ 1) < k ? p ^ 1 : p;
      const float *row = b + (int64_t)q * n;  // gcc warns of int: it cannot tell that p is below k
      for (int j = 0; j < n; ++j) y[j] = NACRE_MADD(a[q], row[j], y[j]);
    }
  }
}

//// matmul_narrow
// The same where k is long and n, at most 32, is small: k is cut into slices of whole blocks of 32, each number of a
// slice is the sum of 16 or of 1 chains (`lanes`), and the slices are added in order.
static void nacre_matmul_narrow(const float *NACRE_RESTRICT a, const float *NACRE_RESTRICT b, float *NACRE_RESTRICT y,
                                int m, int k, int n, int swapped, int slices, int lanes) {
  const int blocks = (k + 31) / 32;
  for (int i = 0; i < m; ++i, a += k, y += n) {
    for (int s = 0; s < slices; ++s) {
      const int first = blocks * s / slices * 32, last = blocks * (s + 1) / slices * 32, end = last < k ? last : k;
      float sums[16][32] = {{0.0f}};
      for (int p = first; p < end; ++p) {
        const int q = swapped && (p ^ 1) < end ? p ^ 1 : p;
        float *sum = sums[q % lanes];
        for (int j = 0; j < n; ++j) sum[j] = NACRE_MADD(a[q], b[q * n + j], sum[j]);
      }
      for (int half = lanes / 2; half; half /= 2)
        for (int e = 0; e < half; ++e)
          for (int j = 0; j < n; ++j) sums[e][j] += sums[e + half][j];
      for (int j = 0; j < n; ++j) y[j] = s ? y[j] + sums[0][j] : sums[0][j];
    }
  }
}

//// sum
// Sums x (outer, n, inner) -> y (outer, inner): where inner is 1, in chunks of 4096 with 16 lanes, added as a tree; else
// in chunks of 64.
static void nacre_sum(const float *x, float *y, int outer, int n, int inner) {
  const int chunk = inner == 1 ? 4096 : 64, lanes = inner == 1 ? 16 : 1;
  for (int o = 0; o < outer; ++o)
    for (int i = 0; i < inner; ++i) {
      float total = 0.0f;
      for (int begin = 0; begin < n; begin += chunk) {
        float sums[16] = {0.0f};
        for (int e = begin; e < n && e < begin + chunk; ++e) sums[(e - begin) % lanes] += x[(o * n + e) * inner + i];
        for (int half = lanes / 2; half; half /= 2)
          for (int e = 0; e < half; ++e) sums[e] += sums[e + half];
        total += sums[0];
      }
      y[o * inner + i] = total;
    }
}

//// max
// The largest; NaN if one is.
static void nacre_max(const float *x, float *y, int outer, int n, int inner) {
  for (int o = 0; o < outer; ++o)
    for (int i = 0; i < inner; ++i) {
      float best = x[o * n * inner + i];
      for (int e = 1; e < n; ++e) {
        const float next = x[(o * n + e) * inner + i];
        if (next != next || next > best) best = next;
      }
      y[o * inner + i] = best;
    }
}

//// min
// The smallest; NaN if one is.
static void nacre_min(const float *x, float *y, int outer, int n, int inner) {
  for (int o = 0; o < outer; ++o)
    for (int i = 0; i < inner; ++i) {
      float best = x[o * n * inner + i];
      for (int e = 1; e < n; ++e) {
        const float next = x[(o * n + e) * inner + i];
        if (next != next || next < best) best = next;
      }
      y[o * inner + i] = best;
    }
}

//// argmax
// Where the first of the largest is, NaN above all.
static void nacre_argmax(const float *x, int32_t *y, int outer, int n, int inner) {
  for (int o = 0; o < outer; ++o)
    for (int i = 0; i < inner; ++i) {
      int best = 0;
      for (int e = 1; e < n; ++e) {
        const float top = x[(o * n + best) * inner + i], next = x[(o * n + e) * inner + i];
        if (top == top && (next != next || next > top)) best = e;
      }
      y[o * inner + i] = best;
    }
}

//// whole_sum
// Of whole numbers, modulo 2^32.
static void nacre_whole_sum(const int32_t *x, int32_t *y, int outer, int n, int inner) {
  for (int o = 0; o < outer; ++o)
    for (int i = 0; i < inner; ++i) {
      uint32_t total = 0;
      for (int e = 0; e < n; ++e) total += (uint32_t)x[(o * n + e) * inner + i];
      y[o * inner + i] = (int32_t)total;
    }
}

//// whole_max
static void nacre_whole_max(const int32_t *x, int32_t *y, int outer, int n, int inner) {
  for (int o = 0; o < outer; ++o)
    for (int i = 0; i < inner; ++i) {
      int32_t best = x[o * n * inner + i];
      for (int e = 1; e < n; ++e)
        if (x[(o * n + e) * inner + i] > best) best = x[(o * n + e) * inner + i];
      y[o * inner + i] = best;
    }
}

//// whole_min
static void nacre_whole_min(const int32_t *x, int32_t *y, int outer, int n, int inner) {
  for (int o = 0; o < outer; ++o)
    for (int i = 0; i < inner; ++i) {
      int32_t best = x[o * n * inner + i];
      for (int e = 1; e < n; ++e)
        if (x[(o * n + e) * inner + i] < best) best = x[(o * n + e) * inner + i];
      y[o * inner + i] = best;
    }
}

//// whole_argmax
static void nacre_whole_argmax(const int32_t *x, int32_t *y, int outer, int n, int inner) {
  for (int o = 0; o < outer; ++o)
    for (int i = 0; i < inner; ++i) {
      int best = 0;
      for (int e = 1; e < n; ++e)
        if (x[(o * n + e) * inner + i] > x[(o * n + best) * inner + i]) best = e;
      y[o * inner + i] = best;
    }
}

//// row
// The number of a row of a table; one that is outside means the nearest.
static int nacre_row(int32_t index, int rows) { return index < 0 ? 0 : index < rows ? (int)index : rows - 1; }
