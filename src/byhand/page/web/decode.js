// Decoders for the data in the page: arrays in base64, images as one PNG.

function decodeBase64(text) {
  const binary = atob(text),
    bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
export const decodeFloat32 = text => new Float32Array(decodeBase64(text).buffer);
export const decodeUint16 = text => new Uint16Array(decodeBase64(text).buffer);

let float16Table = null; // the values of all 65,536 bit patterns: few browsers have Float16Array
function float16Value(bits) {
  const exponent = (bits >> 10) & 31,
    fraction = bits & 1023,
    sign = bits >> 15 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
}
export function decodeFloat16(text) {
  float16Table ??= Float32Array.from({ length: 65536 }, (_, bits) => float16Value(bits));
  return Float32Array.from(decodeUint16(text), bits => float16Table[bits]);
}

// Cut a PNG that holds a grid of images into the pixels of each.
export async function decodeImages({ png, count, shape: [rows, columns, channels] }) {
  if (!count) return [];
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const imagesPerRow = image.width / columns,
    { data } = context.getImageData(0, 0, image.width, image.height);
  return Array.from({ length: count }, (_, k) => {
    const pixels = new Uint8ClampedArray(rows * columns * channels);
    const left = (k % imagesPerRow) * columns,
      top = Math.floor(k / imagesPerRow) * rows;
    for (let i = 0, index = 0; i < rows; i++)
      for (let j = 0; j < columns; j++)
        for (let c = 0; c < channels; c++) {
          pixels[index++] = data[4 * ((top + i) * image.width + left + j) + c];
        }
    return pixels;
  });
}

// (pixel / 255 - mean) / std; mean and std are numbers, or lists with one number per channel.
export function normalize(pixels, { mean, std }, channels, out) {
  const of = (value, c) => (Array.isArray(value) ? value[c] : value);
  for (let i = 0; i < pixels.length; i++) out[i] = (pixels[i] / 255 - of(mean, i % channels)) / of(std, i % channels);
  return out;
}
