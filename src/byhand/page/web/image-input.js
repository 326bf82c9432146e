// Image files as network input: a photo resized and cropped, or a digit centered as in MNIST.

import { clamp, element } from './dom.js';

// Cubic convolution, Keys 1981, a = -1/2.
const cubic = x => {
  x = Math.abs(x);
  return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
};
const CUBIC_RADIUS = 2; // pixels to either side of the center

// Bicubic weights of one axis: for each new pixel, the first old pixel and the weights from there on. Shrinking widens the
// filter, as in Pillow.
function cubicWeights(oldSize, newSize) {
  const step = oldSize / newSize,
    stretch = Math.max(1, step);
  return Array.from({ length: newSize }, (_, i) => {
    const center = (i + 0.5) * step,
      first = Math.max(0, Math.round(center - CUBIC_RADIUS * stretch));
    const end = Math.min(oldSize, Math.round(center + CUBIC_RADIUS * stretch)),
      taps = [];
    for (let k = first; k < end; k++) taps.push(cubic((k - center + 0.5) / stretch));
    const sum = taps.reduce((a, b) => a + b, 0);
    return [first, taps.map(tap => tap / sum)];
  });
}

// Resize (rows, columns, 4) pixels: columns first, then rows, each pass rounded to bytes.
function resize(pixels, rows, columns, newRows, newColumns) {
  const narrowed = new Uint8ClampedArray(rows * newColumns * 4),
    resized = new Uint8ClampedArray(newRows * newColumns * 4);
  cubicWeights(columns, newColumns).forEach(([first, taps], j) => {
    for (let i = 0; i < rows; i++)
      for (let c = 0; c < 4; c++) {
        let sum = 0;
        for (let k = 0; k < taps.length; k++) sum += taps[k] * pixels[(i * columns + first + k) * 4 + c];
        narrowed[(i * newColumns + j) * 4 + c] = sum;
      }
  });
  cubicWeights(rows, newRows).forEach(([first, taps], i) => {
    for (let offset = 0; offset < newColumns * 4; offset++) {
      let sum = 0;
      for (let k = 0; k < taps.length; k++) sum += taps[k] * narrowed[(first + k) * newColumns * 4 + offset];
      resized[i * newColumns * 4 + offset] = sum;
    }
  });
  return resized;
}

// The pixels of a file on a white background, no side longer than maxSide.
async function decodeFile(file, maxSide = Infinity) {
  const image = await createImageBitmap(file, { colorSpaceConversion: 'none' }), // as `byhand predict`: no profile
    ratio = Math.min(1, maxSide / Math.max(image.width, image.height));
  const columns = Math.max(1, Math.round(image.width * ratio)),
    rows = Math.max(1, Math.round(image.height * ratio));
  const context = element('canvas', { width: columns, height: rows }).getContext('2d', { willReadFrequently: true });
  Object.assign(context, { fillStyle: '#fff', imageSmoothingQuality: 'high' });
  context.fillRect(0, 0, columns, rows);
  context.drawImage(image, 0, 0, columns, rows);
  return { pixels: context.getImageData(0, 0, columns, rows).data, rows, columns };
}

const luminance = (pixels, k) => (pixels[4 * k] * 299 + pixels[4 * k + 1] * 587 + pixels[4 * k + 2] * 114) / 1000;

// Whether a file is a PNG of 16 bits a channel.
export async function isDeepPng(file) {
  const header = new Uint8Array(await file.slice(0, 25).arrayBuffer());
  return header[0] === 0x89 && header[1] === 0x50 && header[24] === 16;
}

const DEFAULT_CROP = 0.875; // where the training's is not known

// A photo as (H, W, C) pixels: resized so that the input is the fraction `crop` of the shorter side, then cropped at the center.
// Where crop is null, a photo of the input's size stays whole.
export async function loadPhoto(file, [height, width, channels], crop) {
  const { pixels, rows, columns } = await decodeFile(file),
    whole = crop === null && rows === height && columns === width;
  crop = whole ? 1 : (crop ?? DEFAULT_CROP);
  const scale = Math.max(height / rows, width / columns) / crop;
  const resizedHeight = Math.max(height, Math.round(rows * scale)),
    resizedWidth = Math.max(width, Math.round(columns * scale));
  const resized = resize(pixels, rows, columns, resizedHeight, resizedWidth),
    cropped = new Uint8ClampedArray(height * width * channels);
  const top = Math.floor((resizedHeight - height) / 2),
    left = Math.floor((resizedWidth - width) / 2);
  for (let i = 0, index = 0; i < height; i++)
    for (let j = 0; j < width; j++) {
      const k = (top + i) * resizedWidth + left + j;
      if (channels === 1) cropped[index++] = luminance(resized, k);
      else for (let c = 0; c < 3; c++) cropped[index++] = resized[4 * k + c];
    }
  return cropped;
}

// A photographed digit as (H, W, 1) pixels: ink is the distance of each pixel from the paper's brightness, toward the ink's side.
export async function loadDigit(file, shape) {
  const { pixels, rows, columns } = await decodeFile(file, 280),
    brightness = Float32Array.from({ length: rows * columns }, (_, k) => luminance(pixels, k));
  const border = [];
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      if (i === 0 || j === 0 || i === rows - 1 || j === columns - 1) border.push(brightness[i * columns + j]);
    }
  const paper = median(border),
    noise = 5 * median(border.map(value => Math.abs(value - paper)));
  const skew = brightness.reduce((sum, value) => sum + (value - paper) ** 3, 0),
    inkSign = skew > 0 ? 1 : -1;
  return centerDigit(
    brightness.map(value => Math.max(0, (value - paper) * inkSign - noise)),
    rows,
    columns,
    shape,
  );
}

const median = list => [...list].sort((a, b) => a - b)[list.length >> 1];

// Place a digit as in MNIST: its larger side is 20 of 28 pixels, its center of mass is centered, its maximum is 255.
export function centerDigit(ink, rows, columns, [height, width]) {
  const centered = new Uint8ClampedArray(height * width),
    threshold = 0.25 * ink.reduce((a, b) => Math.max(a, b), 0);
  let top = rows,
    left = columns,
    bottom = -1,
    right = -1;
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      if (threshold && ink[i * columns + j] > threshold) {
        top = Math.min(top, i);
        bottom = Math.max(bottom, i);
        left = Math.min(left, j);
        right = Math.max(right, j);
      }
    }
  if (bottom < 0) return centered;
  const boxHeight = bottom - top + 1,
    boxWidth = right - left + 1,
    step = Math.max(boxHeight, boxWidth) / Math.round((height * 20) / 28);
  const newHeight = Math.max(1, Math.round(boxHeight / step)),
    newWidth = Math.max(1, Math.round(boxWidth / step));
  const small = areaAverage(ink, columns, [top, left, boxHeight, boxWidth], newHeight, newWidth);
  const maxInk = small.reduce((a, b) => Math.max(a, b), 0);
  let mass = 0,
    rowMoment = 0,
    columnMoment = 0;
  for (let i = 0; i < newHeight; i++)
    for (let j = 0; j < newWidth; j++) {
      const m = small[i * newWidth + j];
      mass += m;
      rowMoment += m * i;
      columnMoment += m * j;
    }
  const y = clamp(Math.round(height / 2 - rowMoment / mass), 0, height - newHeight),
    x = clamp(Math.round(width / 2 - columnMoment / mass), 0, width - newWidth);
  for (let i = 0; i < newHeight; i++)
    for (let j = 0; j < newWidth; j++) centered[(y + i) * width + x + j] = (small[i * newWidth + j] * 255) / maxInk;
  return centered;
}

// Resize a box of values: each new pixel is the mean over its area.
export function areaAverage(numbers, columns, [top, left, boxHeight, boxWidth], newHeight, newWidth) {
  const averaged = new Float32Array(newHeight * newWidth),
    axisOverlaps = (size, count, first) =>
      Array.from({ length: count }, (_, i) => {
        const start = first + (i * size) / count,
          end = first + ((i + 1) * size) / count,
          overlaps = [];
        for (let k = Math.floor(start); k < end; k++) overlaps.push([k, Math.min(k + 1, end) - Math.max(k, start)]);
        return overlaps;
      });
  const rowOverlaps = axisOverlaps(boxHeight, newHeight, top),
    columnOverlaps = axisOverlaps(boxWidth, newWidth, left),
    area = (boxHeight * boxWidth) / newHeight / newWidth;
  for (let i = 0; i < newHeight; i++)
    for (let j = 0; j < newWidth; j++) {
      let sum = 0;
      for (const [y, a] of rowOverlaps[i])
        for (const [x, b] of columnOverlaps[j]) sum += a * b * (numbers[y * columns + x] ?? 0);
      averaged[i * newWidth + j] = sum / area;
    }
  return averaged;
}
