// A drawing pad: a canvas for mouse, pen and touch.

import { element } from './dom.js';
import { paintPixels } from './paint.js';
import { centerDigit, areaAverage } from './image-input.js';

const PAD_PIXELS = 224; // side of the canvas

export class DrawingPad {
  // inverted: one draws dark on light, and the network gets light on dark, as in MNIST
  constructor(canvas, shape, inverted, onStroke) {
    Object.assign(this, {
      canvas,
      shape,
      inverted,
      onStroke,
      lastPoint: null,
      color: inverted ? '#000' : '#fff',
    });
    canvas.width = canvas.height = PAD_PIXELS;
    this.context = canvas.getContext('2d', { willReadFrequently: true });
    this.clear();
    canvas.addEventListener('pointerdown', event => {
      canvas.setPointerCapture(event.pointerId);
      this.lastPoint = null;
      this.stroke(event);
      event.preventDefault();
    });
    canvas.addEventListener('pointermove', event => {
      if (event.buttons)
        for (const point of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) this.stroke(point);
    });
    for (const end of ['pointerup', 'pointercancel'])
      canvas.addEventListener(end, () => {
        this.lastPoint = null;
      });
  }

  clear() {
    this.context.fillStyle = this.inverted ? '#fff' : '#000';
    this.context.fillRect(0, 0, PAD_PIXELS, PAD_PIXELS);
  }

  stroke(event) {
    const box = this.canvas.getBoundingClientRect(),
      { context } = this;
    const point = [
      ((event.clientX - box.left) / box.width) * PAD_PIXELS,
      ((event.clientY - box.top) / box.height) * PAD_PIXELS,
    ];
    Object.assign(context, { strokeStyle: this.color, lineWidth: PAD_PIXELS / 13, lineCap: 'round', lineJoin: 'round' });
    context.beginPath();
    context.moveTo(...(this.lastPoint ?? point));
    context.lineTo(point[0] + 0.01, point[1]);
    context.stroke();
    this.lastPoint = point;
    this.onStroke();
  }

  // The drawing at the network's input size, (H, W, C); center: placed as MNIST's digits are.
  pixels(center) {
    const { data } = this.context.getImageData(0, 0, PAD_PIXELS, PAD_PIXELS),
      [height, width, channels] = this.shape;
    const channelOf = c =>
      Float32Array.from({ length: PAD_PIXELS * PAD_PIXELS }, (_, k) =>
        this.inverted ? 255 - data[4 * k + c] : data[4 * k + c],
      );
    if (center) return centerDigit(channelOf(0), PAD_PIXELS, PAD_PIXELS, this.shape);
    const pixels = new Uint8ClampedArray(height * width * channels);
    for (let c = 0; c < channels; c++)
      areaAverage(channelOf(c), PAD_PIXELS, [0, 0, PAD_PIXELS, PAD_PIXELS], height, width).forEach((value, k) => {
        pixels[k * channels + c] = value;
      });
    return pixels;
  }

  // Show a sample or an opened image.
  show(pixels) {
    const image = element('canvas');
    paintPixels(image, pixels, this.shape, this.inverted);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(image, 0, 0, PAD_PIXELS, PAD_PIXELS);
  }
}
