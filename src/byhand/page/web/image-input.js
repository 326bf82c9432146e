// Pictures as network input: a photo resized and cropped, or a digit centered as in MNIST.

import { clamp, element } from './dom.js';

const cubic = x => {
  // Keys 1981, a = -1/2
  x = Math.abs(x);
  return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
};
const SUPPORT = 2; // pixels that the cubic reaches to either side

// Weights of one axis: for each new pixel, its first old one and how much of each it takes. Shrinking widens the filter.
function weights(from, to) {
  const step = from / to,
    wide = Math.max(1, step);
  return Array.from({ length: to }, (_, i) => {
    const middle = (i + 0.5) * step,
      first = Math.max(0, Math.round(middle - SUPPORT * wide));
    const end = Math.min(from, Math.round(middle + SUPPORT * wide)),
      parts = [];
    for (let k = first; k < end; k++) parts.push(cubic((k - middle + 0.5) / wide));
    const sum = parts.reduce((a, b) => a + b, 0);
    return [first, parts.map(part => part / sum)];
  });
}

// Resize (rows, columns, 4) pixels: columns first, then rows, each rounded to bytes.
function resized(pixels, rows, columns, tall, wide) {
  const across = new Uint8ClampedArray(rows * wide * 4),
    made = new Uint8ClampedArray(tall * wide * 4);
  weights(columns, wide).forEach(([first, parts], j) => {
    for (let i = 0; i < rows; i++)
      for (let c = 0; c < 4; c++) {
        let sum = 0;
        for (let k = 0; k < parts.length; k++) sum += parts[k] * pixels[(i * columns + first + k) * 4 + c];
        across[(i * wide + j) * 4 + c] = sum;
      }
  });
  weights(rows, tall).forEach(([first, parts], i) => {
    for (let at = 0; at < wide * 4; at++) {
      let sum = 0;
      for (let k = 0; k < parts.length; k++) sum += parts[k] * across[(first + k) * wide * 4 + at];
      made[i * wide * 4 + at] = sum;
    }
  });
  return made;
}

async function decoded(file, most = Infinity) {
  // the pixels of a file on white paper, no side longer than `most`
  const image = await createImageBitmap(file),
    part = Math.min(1, most / Math.max(image.width, image.height));
  const columns = Math.max(1, Math.round(image.width * part)),
    rows = Math.max(1, Math.round(image.height * part));
  const context = element('canvas', { width: columns, height: rows }).getContext('2d', { willReadFrequently: true });
  Object.assign(context, { fillStyle: '#fff', imageSmoothingQuality: 'high' });
  context.fillRect(0, 0, columns, rows);
  context.drawImage(image, 0, 0, columns, rows);
  return { pixels: context.getImageData(0, 0, columns, rows).data, rows, columns };
}

const gray = (pixels, k) => (pixels[4 * k] * 299 + pixels[4 * k + 1] * 587 + pixels[4 * k + 2] * 114) / 1000;

// A file's picture as (H, W, C) pixels: its shorter side so long that `crop` of it is the image, then the middle.
export async function photo(file, [height, width, channels], crop) {
  const { pixels, rows, columns } = await decoded(file),
    scale = Math.max(height / rows, width / columns) / crop;
  const tall = Math.max(height, Math.round(rows * scale)),
    wide = Math.max(width, Math.round(columns * scale));
  const whole = resized(pixels, rows, columns, tall, wide),
    made = new Uint8ClampedArray(height * width * channels);
  const up = Math.floor((tall - height) / 2),
    left = Math.floor((wide - width) / 2);
  for (let i = 0, at = 0; i < height; i++)
    for (let j = 0; j < width; j++) {
      const k = (up + i) * wide + left + j;
      if (channels === 1) made[at++] = gray(whole, k);
      else for (let c = 0; c < 3; c++) made[at++] = whole[4 * k + c];
    }
  return made;
}

// A file's digit: how far each pixel is from the paper, to the ink's side of it.
export async function digit(file, shape) {
  const { pixels, rows, columns } = await decoded(file, 280),
    values = Float32Array.from({ length: rows * columns }, (_, k) => gray(pixels, k));
  const edge = [];
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      if (i === 0 || j === 0 || i === rows - 1 || j === columns - 1) edge.push(values[i * columns + j]);
    }
  const paper = median(edge),
    noise = 5 * median(edge.map(value => Math.abs(value - paper)));
  const skew = values.reduce((sum, value) => sum + (value - paper) ** 3, 0),
    way = skew > 0 ? 1 : -1;
  return centered(
    values.map(value => Math.max(0, (value - paper) * way - noise)),
    rows,
    columns,
    shape,
  );
}

const median = list => [...list].sort((a, b) => a - b)[list.length >> 1];

// Put ink where MNIST's is: 20 of 28 pixels at its larger side, its center of mass in the middle, its darkest 255.
export function centered(ink, rows, columns, [height, width]) {
  const made = new Uint8ClampedArray(height * width),
    strong = 0.25 * ink.reduce((a, b) => Math.max(a, b), 0);
  let up = rows,
    left = columns,
    down = -1,
    right = -1;
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      if (strong && ink[i * columns + j] > strong) {
        up = Math.min(up, i);
        down = Math.max(down, i);
        left = Math.min(left, j);
        right = Math.max(right, j);
      }
    }
  if (down < 0) return made;
  const high = down - up + 1,
    broad = right - left + 1,
    step = Math.max(high, broad) / Math.round((height * 20) / 28);
  const tall = Math.max(1, Math.round(high / step)),
    wide = Math.max(1, Math.round(broad / step));
  const small = shrunk(ink, columns, [up, left, high, broad], tall, wide);
  const most = small.reduce((a, b) => Math.max(a, b), 0);
  let mass = 0,
    below = 0,
    across = 0;
  for (let i = 0; i < tall; i++)
    for (let j = 0; j < wide; j++) {
      const m = small[i * wide + j];
      mass += m;
      below += m * i;
      across += m * j;
    }
  const y = clamp(Math.round(height / 2 - below / mass), 0, height - tall),
    x = clamp(Math.round(width / 2 - across / mass), 0, width - wide);
  for (let i = 0; i < tall; i++)
    for (let j = 0; j < wide; j++) made[(y + i) * width + x + j] = (small[i * wide + j] * 255) / most;
  return made;
}

// The means of a box of numbers over each new pixel's area.
export function shrunk(numbers, columns, [up, left, high, broad], tall, wide) {
  const made = new Float32Array(tall * wide),
    lines = (size, count, first) =>
      Array.from({ length: count }, (_, i) => {
        const from = first + (i * size) / count,
          to = first + ((i + 1) * size) / count,
          parts = [];
        for (let k = Math.floor(from); k < to; k++) parts.push([k, Math.min(k + 1, to) - Math.max(k, from)]);
        return parts;
      });
  const down = lines(high, tall, up),
    beside = lines(broad, wide, left),
    area = (high * broad) / tall / wide;
  for (let i = 0; i < tall; i++)
    for (let j = 0; j < wide; j++) {
      let sum = 0;
      for (const [y, a] of down[i]) for (const [x, b] of beside[j]) sum += a * b * (numbers[y * columns + x] ?? 0);
      made[i * wide + j] = sum / area;
    }
  return made;
}
