// A drawing pad: a canvas for mouse, pen and touch.

import { element } from './dom.js';
import { paintPixels } from './paint.js';
import { centered, shrunk } from './image-input.js';

const SIDE = 224; // pixels of the board itself

export class DrawingPad {
  constructor(canvas, shape, ink, changed) {
    // ink: dark on light paper, of which the network gets light on dark
    Object.assign(this, { canvas, shape, ink, changed, last: null, color: ink ? '#000' : '#fff' });
    canvas.width = canvas.height = SIDE;
    this.context = canvas.getContext('2d', { willReadFrequently: true });
    this.clear();
    canvas.addEventListener('pointerdown', event => {
      canvas.setPointerCapture(event.pointerId);
      this.last = null;
      this.stroke(event);
      event.preventDefault();
    });
    canvas.addEventListener('pointermove', event => {
      if (event.buttons)
        for (const point of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) this.stroke(point);
    });
    for (const end of ['pointerup', 'pointercancel'])
      canvas.addEventListener(end, () => {
        this.last = null;
      });
  }

  clear() {
    this.context.fillStyle = this.ink ? '#fff' : '#000';
    this.context.fillRect(0, 0, SIDE, SIDE);
  }

  stroke(event) {
    const box = this.canvas.getBoundingClientRect(),
      { context } = this;
    const at = [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
    Object.assign(context, { strokeStyle: this.color, lineWidth: SIDE / 13, lineCap: 'round', lineJoin: 'round' });
    context.beginPath();
    context.moveTo(...(this.last ?? at));
    context.lineTo(at[0] + 0.01, at[1]);
    context.stroke();
    this.last = at;
    this.changed();
  }

  pixels(center) {
    // (H, W, C) as the network takes them
    const { data } = this.context.getImageData(0, 0, SIDE, SIDE),
      [height, width, channels] = this.shape;
    const of = c => Float32Array.from({ length: SIDE * SIDE }, (_, k) => (this.ink ? 255 - data[4 * k + c] : data[4 * k + c]));
    if (center) return centered(of(0), SIDE, SIDE, this.shape);
    const made = new Uint8ClampedArray(height * width * channels);
    for (let c = 0; c < channels; c++)
      shrunk(of(c), SIDE, [0, 0, SIDE, SIDE], height, width).forEach((value, k) => {
        made[k * channels + c] = value;
      });
    return made;
  }

  show(pixels) {
    // a sample, or a file's picture
    const small = element('canvas');
    paintPixels(small, pixels, this.shape, this.ink);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(small, 0, 0, SIDE, SIDE);
  }
}
