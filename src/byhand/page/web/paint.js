// Numbers as colors: blue is positive, orange negative, the background zero.

import { element } from './dom.js';

let palette = null;
export function freshPalette() {
  // after a change of theme
  const style = getComputedStyle(document.documentElement),
    probe = element('canvas', { width: 1, height: 1 });
  const context = probe.getContext('2d', { willReadFrequently: true });
  const of = name => {
    context.fillStyle = style.getPropertyValue(name).trim();
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  palette = { plus: of('--plus'), minus: of('--minus'), zero: of('--zero'), mark: style.getPropertyValue('--mark').trim() };
}

export function largest(numbers, start = 0, step = 1) {
  let max = 0;
  for (let k = start; k < numbers.length; k += step) {
    const size = Math.abs(numbers[k]);
    if (size > max) max = size;
  }
  return max;
}

export function color(value, scale) {
  // of one number, as CSS
  const part = scale ? Math.min(1, Math.abs(value) / scale) : 0;
  return `color-mix(in srgb, var(${value > 0 ? '--plus' : '--minus'}) ${Math.round(45 * part)}%, transparent)`;
}

export function sized(canvas, rows, columns) {
  if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
  return canvas.getContext('2d');
}

// Paint rows x columns numbers: number (i, j) is numbers[start + (i * columns + j) * step].
export function paint(canvas, numbers, rows, columns, scale, start = 0, step = 1) {
  const context = sized(canvas, rows, columns),
    image = context.createImageData(columns, rows),
    pixels = image.data;
  const { zero } = palette;
  for (let k = 0, at = start; k < rows * columns; k++, at += step) {
    const value = numbers[at],
      part = scale && value ? Math.min(1, Math.abs(value) / scale) : 0;
    const to = value > 0 ? palette.plus : palette.minus;
    for (let c = 0; c < 3; c++) pixels[4 * k + c] = zero[c] + (to[c] - zero[c]) * part;
    pixels[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

export function paintPixels(canvas, pixels, [rows, columns, channels], ink = false) {
  // 0 to 255; ink: dark on light
  const context = sized(canvas, rows, columns),
    image = context.createImageData(columns, rows);
  for (let k = 0; k < rows * columns; k++) {
    for (let c = 0; c < 3; c++) {
      const value = pixels[k * channels + (channels === 3 ? c : 0)];
      image.data[4 * k + c] = ink ? 255 - value : value;
    }
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

export function dot(canvas, row, column) {
  // one pixel of a map
  const context = canvas.getContext('2d');
  context.fillStyle = palette.mark;
  context.fillRect(column, row, 1, 1);
}

export function digits(value, places = 2) {
  // a number as people read it
  if (typeof value !== 'number') return value === null || value === undefined ? '·' : String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : '−∞';
  const size = Math.abs(value),
    tiny = size !== 0 && size < 0.5 * 10 ** -places;
  const text = tiny || size >= 1e5 ? size.toExponential(1).replace('e+', 'e').replace('e-', 'e−') : size.toFixed(places);
  return (value < 0 && size !== 0 ? '−' : '') + text;
}
export const percent = (value, places = 1) => `${(100 * value).toFixed(places)} %`;
export const grouped = value => value.toLocaleString('en');
