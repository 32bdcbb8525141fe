// A network's graph, computed operation by operation. Arrays are flat, in row-major order, of the types that their values have.

const TYPES = { float32: Float32Array, int32: Int32Array, uint32: Uint32Array, uint8: Uint8Array, bool: Uint8Array };
const size = (shape) => shape.reduce((a, b) => a * b, 1);
const strides = (shape) => shape.map((_, axis) => size(shape.slice(axis + 1)));

/** Calls `visit` with a place in each of some arrays, for all indices of `shape`; `steps` has strides for each array. */
function walk(shape, steps, starts, visit) {
  const index = shape.map(() => 0);
  const at = [...starts];
  for (let left = size(shape); left > 0; left--) {
    visit(...at);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const back = ++index[axis] === shape[axis];
      for (let n = 0; n < at.length; n++) at[n] += steps[n][axis] * (back ? 1 - shape[axis] : 1);
      if (!back) break;
      index[axis] = 0;
    }
  }
}

/** 1 - e^q(x), or x + x p(x^2) near 0: polynomials for the error function. */
function erf(x) {
  const horner = (z, c) => c.reduceRight((y, k) => y * z + k, 0);
  const a = Math.abs(x);
  if (a < 1) return x + x * horner(x * x, [0.128379166, -0.37612626, 0.112835854, -0.0268538129, 0.00518832775, -0.000801019545, 7.85386728e-5]);
  const q = horner(Math.min(a, 4), [-0.000341583043, -1.1270889, -0.638145268, -0.103106372, 0.0218378752, -0.0029476101, 0.000186374193]);
  return x !== x ? x : Math.sign(x) * (1 - Math.exp(q));
}

function power(x, y) {
  return x === 1 || (Math.abs(x) === 1 && Math.abs(y) === Infinity) ? 1 : x ** y; // where JavaScript has NaN
}

const EACH = {
  neg: (a) => -a, sign: Math.sign, abs: Math.abs, floor: Math.floor, exp: Math.exp, expm1: Math.expm1, log: Math.log, log1p: Math.log1p,
  sqrt: Math.sqrt, sin: Math.sin, cos: Math.cos, tanh: Math.tanh, sigmoid: (a) => 1 / (1 + Math.exp(-a)), erf, relu: (a) => Math.max(a, 0),
  logical_not: (a) => !a, isfinite: Number.isFinite, add: (a, b) => a + b, subtract: (a, b) => a - b, divide: (a, b) => a / b, power,
  maximum: Math.max, minimum: Math.min, equal: (a, b) => a === b, not_equal: (a, b) => a !== b, less: (a, b) => a < b,
  less_equal: (a, b) => a <= b, logical_and: (a, b) => a && b, logical_or: (a, b) => a || b, select: (a, b, c) => (a ? b : c),
};

const bits = new DataView(new ArrayBuffer(4));
function bfloat16(x) {
  bits.setFloat32(0, x);
  const word = bits.getUint32(0);
  if (x !== x || Math.abs(x) < 2 ** -126) return x !== x ? x : 0;
  bits.setUint32(0, ((word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000) >>> 0);
  return bits.getFloat32(0);
}

/** The rules of operations: (what it makes, its operands, its attributes, its operands' shapes, its shape). */
const RULES = {
  reshape: (y, [x]) => y.set(x),
  stop_gradient: (y, [x]) => y.set(x),
  iota: (y, _, { axis }, __, shape) => y.forEach((_, i) => (y[i] = Math.floor(i / size(shape.slice(axis + 1))) % shape[axis])),
  constant: (y, _, { value }) => y.fill(value),
  broadcast: (y, [x], { axes }, [from], shape) => {
    const steps = strides(from);
    walk(shape, [shape.map((_, axis) => (axes.includes(axis) ? steps[axes.indexOf(axis)] : 0)), strides(shape)], [0, 0], (i, o) => (y[o] = x[i]));
  },
  transpose: (y, [x], { axes }, [from], shape) => {
    const steps = strides(from);
    walk(shape, [axes.map((axis) => steps[axis]), strides(shape)], [0, 0], (i, o) => (y[o] = x[i]));
  },
  slice: (y, [x], { start, stride }, [from], shape) => {
    const steps = strides(from);
    const first = start.reduce((sum, n, axis) => sum + n * steps[axis], 0);
    walk(shape, [steps.map((step, axis) => step * stride[axis]), strides(shape)], [first, 0], (i, o) => (y[o] = x[i]));
  },
  pad: (y, [x], { low, interior }, [from], shape) => {
    const steps = strides(shape);
    const first = low.reduce((sum, n, axis) => sum + n * steps[axis], 0);
    walk(from, [strides(from), steps.map((step, axis) => step * (interior[axis] + 1))], [0, first], (i, o) => (y[o] = x[i]));
  },
  concatenate: (y, parts, { axis }, shapes, shape) => {
    let to = 0;
    parts.forEach((x, n) => {
      walk(shapes[n], [strides(shapes[n]), strides(shape)], [0, to], (i, o) => (y[o] = x[i]));
      to += shapes[n][axis] * strides(shape)[axis];
    });
  },
  cast: (y, [x]) => y.set(y instanceof Float32Array ? x : x.map(Math.trunc)),
  truth: (y, [x]) => y.set(Uint8Array.from(x, (a) => a !== 0)),
  multiply: (y, [a, b]) => y.forEach((_, i) => (y[i] = y instanceof Float32Array ? a[i] * b[i] : Math.imul(a[i], b[i]))),
  reduce_sum: (y, [x], { axes }, [from]) => {
    const sums = new Float64Array(y.length);
    along(from, axes, (i, o) => (sums[o] += x[i]));
    y.set(sums);
  },
  reduce_max: (y, [x], { axes }, [from]) => {
    const best = new Float64Array(y.length).fill(-Infinity);
    along(from, axes, (i, o) => (best[o] = Math.max(best[o], x[i])));
    y.set(best);
  },
  reduce_min: (y, [x], { axes }, [from]) => {
    const best = new Float64Array(y.length).fill(Infinity);
    along(from, axes, (i, o) => (best[o] = Math.min(best[o], x[i])));
    y.set(best);
  },
  argmax: (y, [x], { axis }, [from]) => {
    const best = new Float64Array(y.length).fill(-Infinity);
    const inner = strides(from)[axis];
    along(from, [axis], (i, o) => {
      if (best[o] === best[o] && (x[i] !== x[i] || x[i] > best[o])) [best[o], y[o]] = [x[i], Math.floor(i / inner) % from[axis]];
    });
  },
  take: (y, [table, rows], _, [[count, ...rest]]) => {
    const width = size(rest);
    rows.forEach((row, i) => y.set(table.subarray(clamp(row, count) * width, (clamp(row, count) + 1) * width), i * width));
  },
  scatter_add: (y, [rows, updates], _, __, [count, ...rest]) => {
    const width = size(rest);
    rows.forEach((row, i) => {
      for (let j = 0; j < width; j++) y[clamp(row, count) * width + j] += updates[i * width + j];
    });
  },
  matmul: (y, [a, b], { transpose_a, transpose_b, precision }, [sa], [m, n]) => {
    const k = sa[transpose_a ? 0 : 1];
    if (precision === "bfloat16") [a, b] = [a.map(bfloat16), b.map(bfloat16)];
    const sums = new Float64Array(n);
    for (let i = 0; i < m; i++) {
      sums.fill(0);
      for (let p = 0; p < k; p++) {
        const x = a[transpose_a ? p * m + i : i * k + p];
        if (x === 0) continue;
        for (let j = 0; j < n; j++) sums[j] += x * b[transpose_b ? j * k + p : p * n + j];
      }
      y.set(sums, i * n);
    }
  },
};
const clamp = (row, count) => Math.min(Math.max(row, 0), count - 1);

/** Walks over an array and, beside it, over what it is reduced to. */
function along(from, axes, visit) {
  const kept = strides(from.filter((_, axis) => !axes.includes(axis)));
  let next = 0;
  walk(from, [strides(from), from.map((_, axis) => (axes.includes(axis) ? 0 : kept[next++]))], [0, 0], visit);
}

/** The numbers of a tensor; those of 16 bits are multiples of its scale. */
function unpacked(bytes, { kind, at, count, scale }) {
  const type = kind === "int16" ? Int16Array : TYPES[kind];
  const numbers = new type(bytes.buffer, at, count);
  return kind === "int16" ? Float32Array.from(numbers, (number) => number * scale) : numbers;
}

class Network {
  constructor({ inputs, tensors, steps, outputs }, base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    [this.inputs, this.steps, this.outputs] = [inputs, steps, outputs];
    this.known = [...inputs.map(() => null), ...tensors.map((one) => unpacked(bytes, one))];
    this.shapes = [...inputs, ...tensors, ...steps].map((one) => one.shape);
  }

  /** The outputs for one row: numbers for each input. */
  predict(given) {
    const values = [...this.known];
    this.inputs.forEach(({ dtype }, n) => (values[n] = TYPES[dtype].from(given[n])));
    for (const { op, of, shape, dtype, attrs } of this.steps) {
      const y = new TYPES[dtype](size(shape));
      const operands = of.map((n) => values[n]);
      if (RULES[op]) RULES[op](y, operands, attrs, of.map((n) => this.shapes[n]), shape);
      else for (let i = 0; i < y.length; i++) y[i] = EACH[op](...operands.map((x) => x[i]));
      values.push(y);
    }
    return this.outputs.map((n) => values[n]);
  }
}
