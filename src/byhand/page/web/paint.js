// Numbers as colors: blue is positive, orange negative, the background zero.

import { element } from './dom.js';

let palette = null;
// Read the theme's colors from CSS.
export function updatePalette() {
  const style = getComputedStyle(document.documentElement),
    canvas = element('canvas', { width: 1, height: 1 });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const rgb = name => {
    context.fillStyle = style.getPropertyValue(name).trim();
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  palette = { plus: rgb('--plus'), minus: rgb('--minus'), zero: rgb('--zero'), mark: style.getPropertyValue('--mark').trim() };
}

export function maxAbs(numbers, start = 0, step = 1) {
  let max = 0;
  for (let k = start; k < numbers.length; k += step) {
    const magnitude = Math.abs(numbers[k]);
    if (magnitude > max) max = magnitude;
  }
  return max;
}

// The background color of one number.
export function cssColor(value, scale) {
  const intensity = scale ? Math.min(1, Math.abs(value) / scale) : 0;
  return `color-mix(in srgb, var(${value > 0 ? '--plus' : '--minus'}) ${Math.round(45 * intensity)}%, transparent)`;
}

// The 2D context of a canvas of rows x columns pixels; a canvas of another size is resized, which clears it.
export function getResizedContext(canvas, rows, columns) {
  if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
  return canvas.getContext('2d');
}

// Paint rows x columns numbers: number (i, j) is numbers[start + (i * columns + j) * step].
export function paintNumbers(canvas, numbers, rows, columns, scale, start = 0, step = 1) {
  const context = getResizedContext(canvas, rows, columns),
    image = context.createImageData(columns, rows),
    pixels = image.data;
  const { zero } = palette;
  for (let k = 0, index = start; k < rows * columns; k++, index += step) {
    const value = numbers[index],
      intensity = scale && value ? Math.min(1, Math.abs(value) / scale) : 0;
    const hue = value > 0 ? palette.plus : palette.minus;
    for (let c = 0; c < 3; c++) pixels[4 * k + c] = zero[c] + (hue[c] - zero[c]) * intensity;
    pixels[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// pixels: 0 to 255, (rows, columns, channels); inverted: show light on dark as dark on light
export function paintPixels(canvas, pixels, [rows, columns, channels], inverted = false) {
  const context = getResizedContext(canvas, rows, columns),
    image = context.createImageData(columns, rows);
  for (let k = 0; k < rows * columns; k++) {
    for (let c = 0; c < 3; c++) {
      const value = pixels[k * channels + (channels === 3 ? c : 0)];
      image.data[4 * k + c] = inverted ? 255 - value : value;
    }
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// Mark the selected pixel of a map.
export function markCell(canvas, row, column) {
  const context = canvas.getContext('2d');
  context.fillStyle = palette.mark;
  context.fillRect(column, row, 1, 1);
}

// A number for display: typographic minus, exponent for very small and very large values.
export function formatNumber(value, decimals = 2) {
  if (typeof value !== 'number') return value === null || value === undefined ? '·' : String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : '−∞';
  const magnitude = Math.abs(value),
    tiny = magnitude !== 0 && magnitude < 0.5 * 10 ** -decimals;
  const text =
    tiny || magnitude >= 1e5 ? magnitude.toExponential(1).replace('e+', 'e').replace('e-', 'e−') : magnitude.toFixed(decimals);
  return (value < 0 && magnitude !== 0 ? '−' : '') + text;
}
export const formatPercent = (value, decimals = 1) => `${(100 * value).toFixed(decimals)}%`;
export const formatInteger = value => value.toLocaleString('en');
