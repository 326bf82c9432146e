// Grad-CAM: the image regions that raise a class score, from the last feature maps. Selvaraju et al. 2016, arXiv 1610.02391.
//
//     cam[i, j] = ReLU(sum over c of weight[c] * maps[i, j, c]),   weight[c] = mean over i, j of d logit / d maps[i, j, c]

import { clamp } from './dom.js';
import { getResizedContext } from './paint.js';

// maps, grad: (1, rows, columns, channels); returns (rows, columns).
export function gradCam(maps, grad) {
  const [, rows, columns, channels] = maps.shape,
    weights = new Float64Array(channels),
    cam = new Float32Array(rows * columns);
  for (let k = 0; k < grad.size; k++) weights[k % channels] += grad.data[k] / (rows * columns);
  for (let k = 0; k < cam.length; k++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += weights[c] * maps.data[k * channels + c];
    cam[k] = Math.max(0, sum);
  }
  return cam;
}

// Linear interpolation weights of one axis: for each pixel, [cell, weight] of two cells. Cell j has its center at
// start + step * j; past the outermost centers the map fades out.
function interpolationWeights(pixels, count, [start, step]) {
  return Array.from({ length: pixels }, (_, i) => {
    const position = (i - start) / step,
      within = clamp(position, 0, count - 1),
      fade = clamp(1.5 - Math.abs(position - within), 0, 1);
    const first = Math.floor(within),
      fraction = within - first;
    return [
      [first, fade * (1 - fraction)],
      [Math.min(first + 1, count - 1), fade * fraction],
    ];
  });
}

// A map at the image's size; centers: those of the receptive fields of its cells.
export function overlay(values, rows, columns, centers, height, width) {
  const rowWeights = interpolationWeights(height, rows, centers.rows),
    columnWeights = interpolationWeights(width, columns, centers.columns),
    overlaid = new Float32Array(height * width);
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++) {
      for (const [y, a] of rowWeights[i])
        for (const [x, b] of columnWeights[j]) overlaid[i * width + j] += a * b * values[y * columns + x];
    }
  return overlaid;
}

// Draw the map in orange over the image in gray.
export function drawCam(canvas, cam, pixels, [height, width, channels], inverted) {
  const context = getResizedContext(canvas, height, width),
    image = context.createImageData(width, height);
  const max = cam.reduce((a, b) => Math.max(a, b), 0) || 1;
  for (let k = 0; k < height * width; k++) {
    let gray = 0;
    for (let c = 0; c < channels; c++) gray += pixels[k * channels + c] / channels;
    gray = (inverted ? 255 - gray : gray) * 0.75 + 48;
    const opacity = (cam[k] / max) * 0.85,
      orange = [232, 112, 20];
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = gray + (orange[c] - gray) * opacity;
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
