// The runtime of the translated loops: arrays, indices, and the few Python functions that they call.

export const product = sizes => sizes.reduce((a, b) => a * b, 1);

const stridesByShape = new Map(); // arrays of one shape share their strides, so strides are compared by identity
function stridesOf(shape) {
  const key = shape.join();
  if (!stridesByShape.has(key)) {
    const strides = [];
    for (let axis = shape.length - 1, size = 1; axis >= 0; size *= shape[axis--]) strides[axis] = size;
    stridesByShape.set(key, strides);
  }
  return stridesByShape.get(key);
}

// An array in row-major order; strides count elements.
export class Tensor {
  constructor(shape, numbers) {
    this.shape = shape;
    this.strides = stridesOf(shape);
    this.size = product(shape);
    this.data = numbers ?? new Float32Array(this.size);
  }
  get ndim() {
    return this.shape.length;
  }
}

// The loop variable of np.ndindex: n counts the elements from `first` to `end` in row-major order.
export class NdIndex {
  constructor(shape, first = 0, end = product(shape)) {
    this.shape = shape;
    this.n = first;
    this.end = end;
    this.firstMatch = this.secondMatch = null; // arrays of this shape, for which n is the offset
  }
  tuple() {
    const index = new Array(this.shape.length);
    for (let axis = index.length - 1, n = this.n; axis >= 0; axis--) {
      index[axis] = n % this.shape[axis];
      n = Math.floor(n / this.shape[axis]);
    }
    return index;
  }
}

export function* ndindex(shape) {
  for (const index = new NdIndex(shape); index.n < index.end; index.n++) yield index.tuple();
}

export const toShape = sizes => (typeof sizes === 'number' ? [sizes] : sizes);

export function tuple(value) {
  if (value instanceof NdIndex) return value.tuple();
  if (typeof value === 'number') return [value];
  return Array.isArray(value) ? value : [...value];
}

// Whether a shape begins with these sizes.
function startsWith(sizes, prefix) {
  for (let axis = 0; axis < prefix.length; axis++) if (sizes[axis] !== prefix[axis]) return false;
  return true;
}

// The offset of x[index] in x.data.
export function offsetOf(x, index) {
  if (index instanceof NdIndex) {
    if (index.firstMatch === x || index.secondMatch === x) return index.n; // compared in an earlier iteration
    if (index.shape.length === x.shape.length && startsWith(x.shape, index.shape)) {
      if (index.firstMatch) index.secondMatch = x;
      else index.firstMatch = x;
      return index.n;
    }
    index = index.tuple();
  }
  if (typeof index === 'number') return index * x.strides[0];
  let offset = 0,
    axis = 0;
  for (const position of index) {
    if (typeof position === 'number') offset += position * x.strides[axis++];
    else for (const i of tuple(position)) offset += i * x.strides[axis++];
  }
  return offset;
}

// The offset of x[*first, next, last] in x.data; next and last may be omitted.
export function leadingOffset(x, first, next, last) {
  let offset, axis;
  if (first instanceof NdIndex && startsWith(x.shape, first.shape)) {
    axis = first.shape.length;
    offset = axis ? first.n * x.strides[axis - 1] : 0;
  } else {
    const list = tuple(first);
    axis = list.length;
    if (list.strides !== x.strides) {
      list.start = list.reduce((sum, position, k) => sum + position * x.strides[k], 0); // reused in the next iteration
      list.strides = x.strides;
    }
    offset = list.start;
  }
  if (next === undefined) return offset;
  return offset + next * x.strides[axis] + (last === undefined ? 0 : last * x.strides[axis + 1]);
}

// x[index] with one index fewer than x has axes: a view along the last axis.
export function lastAxis(x, index) {
  const offset = leadingOffset(x, index instanceof NdIndex || Array.isArray(index) ? index : [index]);
  return x.data.subarray(offset, offset + x.shape[x.shape.length - 1]);
}

// value[index] of an array, an NdIndex or a list.
export function get(value, index) {
  if (value instanceof Tensor) return value.data[offsetOf(value, index)];
  const list = value instanceof NdIndex ? value.tuple() : value;
  return index < 0 ? list[list.length + index] : list[index];
}

// x[...] = value; value: a number, or an array that repeats along x's first axes.
export function fill(x, value) {
  if (value instanceof Tensor) for (let i = 0; i < x.size; i++) x.data[i] = value.data[i % value.size];
  else x.data.fill(value);
}

// A value that the line reads under a condition only: undefined if reading it fails.
export function attempt(read) {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function* range(first, end) {
  if (end === undefined) [first, end] = [0, first];
  for (let i = first; i < end; i++) yield i;
}

// erf x = 2 / sqrt(pi) (x - x^3/3 + x^5/10 - ...); for large x, 1 - e^(-x^2) / (x sqrt(pi)) / (1 + 1/(2 x^2) / (1 + ...))
function erf(x) {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a,
      sum = a;
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return ((Math.sign(x) * 2) / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
}

// max or min; a NaN propagates.
const extremum =
  better =>
  (...list) => {
    list = list.length > 1 ? list : list[0];
    let extreme = list[0];
    for (const value of list) if (better(value, extreme) || value !== value) extreme = value;
    return extreme;
  };
const mod = (a, b) => ((a % b) + b) % b;

export const py = {
  ...Object.fromEntries(['exp', 'expm1', 'log', 'log1p', 'sqrt', 'tanh', 'abs'].map(name => [name, Math[name]])),
  erf,
  range,
  tuple,
  mod,
  list: tuple,
  isnan: Number.isNaN,
  float: Number,
  float64: Number,
  int: Math.trunc,
  max: extremum((a, b) => a > b),
  min: extremum((a, b) => a < b),
  divmod: (a, b) => [Math.floor(a / b), mod(a, b)],
  len: list => (list instanceof NdIndex ? list.shape.length : list.length),
  prod: list => product(tuple(list)),
  sum(list) {
    let total = 0;
    for (const value of list) total += value;
    return total;
  },
  has: (list, value) => tuple(list).includes(value),
  repeat: (list, count) => Array.from({ length: list.length * count }, (_, i) => list[i % list.length]),
  *enumerate(list) {
    let i = 0;
    for (const value of tuple(list)) yield [i++, value];
  },
  *zip(...lists) {
    lists = lists.map(tuple);
    for (let i = 0; lists.every(list => i < list.length); i++) yield lists.map(list => list[i]);
  },
  *product(...lists) {
    lists = lists.map(list => [...list]);
    for (const index of ndindex(lists.map(list => list.length))) yield index.map((i, axis) => lists[axis][i]);
  },
};
