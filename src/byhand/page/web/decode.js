// Decoders for the data in the page: numbers in base64, pictures as PNG.

function bytes(text) {
  const raw = atob(text),
    made = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) made[i] = raw.charCodeAt(i);
  return made;
}
export const floats = text => new Float32Array(bytes(text).buffer);
export const shorts = text => new Uint16Array(bytes(text).buffer);

let table = null; // of all 65,536 numbers in float16, which few browsers have an array for
function half(bits) {
  const exponent = (bits >> 10) & 31,
    part = bits & 1023,
    sign = bits >> 15 ? -1 : 1;
  if (exponent === 31) return part ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + part / 1024) * 2 ** (exponent - 15) : part * 2 ** -24);
}
export function halves(text) {
  table ??= Float32Array.from({ length: 65536 }, (_, bits) => half(bits));
  return Float32Array.from(shorts(text), bits => table[bits]);
}

// Images that stand side by side and one below the other in a PNG -> the pixels of each.
export async function pictures({ png, count, shape: [rows, columns, channels] }) {
  if (!count) return [];
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const across = image.width / columns,
    { data } = context.getImageData(0, 0, image.width, image.height);
  return Array.from({ length: count }, (_, k) => {
    const pixels = new Uint8ClampedArray(rows * columns * channels);
    const left = (k % across) * columns,
      top = Math.floor(k / across) * rows;
    for (let i = 0, at = 0; i < rows; i++)
      for (let j = 0; j < columns; j++)
        for (let c = 0; c < channels; c++) {
          pixels[at++] = data[4 * ((top + i) * image.width + left + j) + c];
        }
    return pixels;
  });
}

// (pixel / 255 - mean) / std, one for all channels or one each.
export function scaled(pixels, { mean, std }, channels, out) {
  const of = (value, c) => (Array.isArray(value) ? value[c] : value);
  for (let i = 0; i < pixels.length; i++) out[i] = (pixels[i] / 255 - of(mean, i % channels)) / of(std, i % channels);
  return out;
}
