// Grad-CAM: the image regions that raise a class score, from the last feature maps. Selvaraju et al. 2016, arXiv 1610.02391.
//
//     cam[i, j] = ReLU(sum over c of weight[c] * maps[i, j, c]),   weight[c] = mean over i, j of d logit / d maps[i, j, c]

import { clamp } from './dom.js';
import { sized } from './paint.js';

export function gradCam(maps, grad) {
  // -> (H', W') numbers
  const [, rows, columns, channels] = maps.shape,
    weights = new Float64Array(channels),
    made = new Float32Array(rows * columns);
  for (let k = 0; k < grad.size; k++) weights[k % channels] += grad.data[k] / (rows * columns);
  for (let k = 0; k < made.length; k++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += weights[c] * maps.data[k * channels + c];
    made[k] = Math.max(0, sum);
  }
  return made;
}

// Each pixel's weights on a map's numbers, of which number j lies at start + step * j: linear between them, fading past the last.
function lines(pixels, count, [start, step]) {
  return Array.from({ length: pixels }, (_, i) => {
    const at = (i - start) / step,
      within = clamp(at, 0, count - 1),
      fade = clamp(1.5 - Math.abs(at - within), 0, 1);
    const first = Math.floor(within),
      part = within - first;
    return [
      [first, fade * (1 - part)],
      [Math.min(first + 1, count - 1), fade * part],
    ];
  });
}

export function laid(values, rows, columns, place, height, width) {
  // a map over an image of height x width
  const down = lines(height, rows, place.down),
    across = lines(width, columns, place.across),
    made = new Float32Array(height * width);
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++) {
      for (const [y, a] of down[i]) for (const [x, b] of across[j]) made[i * width + j] += a * b * values[y * columns + x];
    }
  return made;
}

export function drawCam(canvas, cam, pixels, [height, width, channels], ink) {
  // in warm light over the image in gray
  const context = sized(canvas, height, width),
    image = context.createImageData(width, height);
  const max = cam.reduce((a, b) => Math.max(a, b), 0) || 1;
  for (let k = 0; k < height * width; k++) {
    let gray = 0;
    for (let c = 0; c < channels; c++) gray += pixels[k * channels + c] / channels;
    gray = (ink ? 255 - gray : gray) * 0.75 + 48;
    const part = (cam[k] / max) * 0.85,
      to = [232, 112, 20];
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = gray + (to[c] - gray) * part;
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
