// The convolution demo: a window moves over an image; sliders set its size, stride, padding and dilation.
//
//     output = floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1

import { button, element, labeled, operator } from './dom.js';
import { formatNumber, maxAbs } from './paint.js';
import { numberGrid } from './arithmetic.js';

const LIMITS = { size: [3, 28], kernel: [1, 7], stride: [1, 4], padding: [0, 4], dilation: [1, 3] };
const CANVAS_PIXELS = 252; // side of a canvas
const STEP_MS = 350; // of the animation
const TUTORIAL_LAYERS = [
  // 28x28x1 -> 26x26x8 -> 13x13x8 -> 10
  { size: 28, kernel: 3, stride: 1, padding: 0, dilation: 1, pool: false },
  { size: 26, kernel: 2, stride: 2, padding: 0, dilation: 1, pool: true },
];
const outputSize = ({ size, kernel, stride, padding, dilation }) =>
  Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;

export class ConvolutionSteps {
  constructor(page, container) {
    Object.assign(this, { page, container, settings: { ...TUTORIAL_LAYERS[0] }, position: 322, timer: 0 });
    this.build();
  }

  get outputSide() {
    return outputSize(this.settings);
  }

  // The input of the window: the page's image at that size, or a test pattern if the page has no samples.
  inputValues() {
    const { page, settings } = this,
      shape = page.data.samples.shape,
      { size } = settings;
    if (settings.pool) {
      // The pooling layer's input is the output of the convolution before it.
      const conv = new Float32Array(size * size),
        image = this.sampledImage(size + 2, shape),
        kernel = this.edgeKernel(3);
      for (let i = 0; i < size; i++)
        for (let j = 0; j < size; j++)
          for (let r = 0; r < 3; r++)
            for (let s = 0; s < 3; s++) {
              conv[i * size + j] += image[(i + r) * (size + 2) + j + s] * kernel[r * 3 + s];
            }
      return conv;
    }
    return this.sampledImage(size, shape);
  }
  sampledImage(size, [height, width, channels]) {
    const { pixels, data } = this.page;
    return Float32Array.from({ length: size * size }, (_, k) => {
      const i = Math.floor(((Math.floor(k / size) + 0.5) * height) / size),
        j = Math.floor((((k % size) + 0.5) * width) / size);
      return pixels && data.samples.count ? pixels[(i * width + j) * channels] / 255 : ((i * 3 + j * 5) % 7) / 7;
    });
  }

  // A vertical edge detector of any size, as in the tutorial.
  edgeKernel(size) {
    return Float32Array.from({ length: size * size }, (_, k) => Math.sign((k % size) - (size - 1) / 2) || (size === 1 ? 1 : 0));
  }

  build() {
    const { words } = this.page;
    const sliders = Object.entries(LIMITS).map(([name, [low, high]]) => {
      const valueText = element('output', {}, String(this.settings[name]));
      const input = element('input', {
        type: 'range',
        min: low,
        max: high,
        value: this.settings[name],
        'aria-label': words[name],
        oninput: () => this.changeSetting(name, Number(input.value), input, valueText),
      });
      return element('label', { className: 'setting' }, element('span', {}, words[name]), input, valueText);
    });
    this.formula = element('p', { className: 'formula', 'aria-live': 'polite' });
    this.inputCanvas = element('canvas', {
      role: 'img',
      'aria-label': words.image,
      width: CANVAS_PIXELS,
      height: CANVAS_PIXELS,
    });
    this.outputCanvas = element('canvas', {
      role: 'img',
      'aria-label': words.output,
      width: CANVAS_PIXELS,
      height: CANVAS_PIXELS,
    });
    this.outputCanvas.addEventListener('pointermove', event => {
      if (event.pointerType === 'mouse') this.onPointer(event);
    });
    this.outputCanvas.addEventListener('pointerdown', event => this.onPointer(event));
    this.figure = element('div', { className: 'arithmetic' });
    this.playButton = button(words.play, () => this.play());
    const chain = element('div', { className: 'row chain' }, ...this.chain());
    this.container.replaceChildren(
      element('h2', {}, words.stepByStep),
      element('p', { className: 'about' }, words.stepByStepAbout),
      chain,
      element(
        'div',
        { className: 'convolution-steps' },
        element(
          'div',
          { className: 'settings' },
          ...sliders,
          this.formula,
          element(
            'p',
            { className: 'row' },
            this.playButton,
            button(words.next, () => this.step(1)),
          ),
        ),
        element(
          'div',
          { className: 'arithmetic input-output' },
          labeled(this.inputCanvas, words.image),
          operator('→'),
          labeled(this.outputCanvas, words.output),
        ),
        this.figure,
      ),
    );
    this.draw();
  }

  // The tutorial network as a chain of shapes, linked by buttons that load its layers.
  chain() {
    const shapes = ['28 × 28 × 1', '26 × 26 × 8', '13 × 13 × 8', '10'],
      { words } = this.page;
    const ops = [words.kinds.conv2d, words.kinds.max_pool, words.kinds.linear];
    return shapes
      .flatMap((text, k) => [
        element('b', {}, text),
        k < 2
          ? button(`${ops[k]} →`, () => {
              this.settings = { ...TUTORIAL_LAYERS[k] };
              this.position = 0;
              this.build();
            })
          : k < 3
            ? element('span', { className: 'about' }, `${ops[k]} →`)
            : null,
      ])
      .filter(Boolean);
  }

  changeSetting(name, value, input, valueText) {
    const settings = { ...this.settings, [name]: value, pool: false };
    if (outputSize(settings) < 1) {
      input.value = this.settings[name];
      this.formula.textContent = this.page.words.kernelTooLarge(
        settings.dilation * (settings.kernel - 1) + 1,
        settings.size + 2 * settings.padding,
      );
      this.formula.classList.add('error');
      return;
    }
    this.settings = settings;
    valueText.textContent = String(value);
    this.position = Math.min(this.position, this.outputSide ** 2 - 1);
    this.draw();
  }

  onPointer(event) {
    const box = this.outputCanvas.getBoundingClientRect(),
      n = this.outputSide;
    const cellOf = (value, size) => Math.min(n - 1, Math.max(0, Math.floor((value / size) * n)));
    this.position = cellOf(event.clientY - box.top, box.height) * n + cellOf(event.clientX - box.left, box.width);
    this.draw();
  }
  step(by) {
    this.position = (this.position + by) % this.outputSide ** 2;
    this.draw();
  }
  play() {
    if (this.timer) {
      clearInterval(this.timer);
      this.timer = 0;
    } else this.timer = setInterval(() => this.step(1), STEP_MS);
    this.playButton.textContent = this.timer ? this.page.words.pause : this.page.words.play;
  }

  draw() {
    const { settings, page, outputSide: n } = this,
      { words } = page,
      { size, kernel, stride, padding, dilation, pool } = settings;
    const input = this.inputValues(),
      weight = this.edgeKernel(kernel),
      output = new Float32Array(n * n),
      paddedSize = size + 2 * padding;
    const patchAt = (i, j) => {
      const patch = [];
      for (let r = 0; r < kernel; r++)
        for (let s = 0; s < kernel; s++) {
          const p = i * stride - padding + r * dilation,
            q = j * stride - padding + s * dilation;
          patch.push(p < 0 || q < 0 || p >= size || q >= size ? null : input[p * size + q]);
        }
      return patch;
    };
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        const patch = patchAt(i, j);
        output[i * n + j] = pool
          ? Math.max(...patch.map(value => value ?? -Infinity))
          : patch.reduce((sum, value, k) => sum + (value ?? 0) * weight[k], 0);
      }
    const row = Math.floor(this.position / n),
      column = this.position % n;
    this.formula.classList.remove('error');
    this.formula.textContent = `⌊(${size} + 2·${padding} − ${dilation}·(${kernel} − 1) − 1) / ${stride}⌋ + 1 = ${n}`;
    this.drawGrid(
      this.inputCanvas,
      paddedSize,
      k => {
        const i = Math.floor(k / paddedSize) - padding,
          j = (k % paddedSize) - padding;
        return i < 0 || j < 0 || i >= size || j >= size ? null : input[i * size + j];
      },
      Array.from({ length: kernel * kernel }, (_, k) => [
        row * stride + Math.floor(k / kernel) * dilation,
        column * stride + (k % kernel) * dilation,
      ]),
    );
    this.drawGrid(this.outputCanvas, n, k => (k <= this.position ? output[k] : null), [[row, column]]);
    const patch = patchAt(row, column),
      rowsOf = list => Array.from({ length: kernel }, (_, r) => list.slice(r * kernel, r * kernel + kernel));
    const total = element('output', { className: 'result' }, formatNumber(output[this.position]));
    if (pool) {
      const argmax = patch.indexOf(Math.max(...patch.map(value => value ?? -Infinity)));
      this.figure.replaceChildren(
        numberGrid(rowsOf(patch), words.patch, { highlighted: [Math.floor(argmax / kernel), argmax % kernel] }),
        operator('→'),
        labeled(total, words.largestOf),
      );
    } else {
      this.figure.replaceChildren(
        numberGrid(rowsOf(patch), words.patch),
        operator('×'),
        numberGrid(rowsOf([...weight]), words.kernel, { decimals: 0 }),
        operator('='),
        numberGrid(rowsOf(patch.map((value, k) => (value === null ? null : value * weight[k]))), words.products),
        operator('→'),
        labeled(total, words.sum),
      );
    }
  }

  // Draw values as colored cells; window: the [row, column] of the cells with a border.
  drawGrid(canvas, count, valueAt, window) {
    const context = canvas.getContext('2d'),
      cellPixels = CANVAS_PIXELS / count,
      style = getComputedStyle(document.documentElement);
    const values = Array.from({ length: count * count }, (_, k) => valueAt(k)),
      max = maxAbs(values.map(value => value ?? 0)),
      cssVariable = name => style.getPropertyValue(name).trim();
    context.clearRect(0, 0, CANVAS_PIXELS, CANVAS_PIXELS);
    values.forEach((value, k) => {
      const x = (k % count) * cellPixels,
        y = Math.floor(k / count) * cellPixels;
      context.globalAlpha = 1;
      context.fillStyle = cssVariable('--zero');
      if (value !== null) context.fillRect(x, y, cellPixels, cellPixels);
      if (value) {
        context.globalAlpha = Math.min(1, Math.abs(value) / max);
        context.fillStyle = cssVariable(value > 0 ? '--plus' : '--minus');
        context.fillRect(x, y, cellPixels, cellPixels);
      }
      context.globalAlpha = 0.25;
      context.strokeStyle = cssVariable('--line');
      context.strokeRect(x, y, cellPixels, cellPixels);
    });
    context.globalAlpha = 1;
    context.strokeStyle = cssVariable('--mark');
    context.lineWidth = 2;
    for (const [i, j] of window) context.strokeRect(j * cellPixels + 1, i * cellPixels + 1, cellPixels - 2, cellPixels - 2);
    context.lineWidth = 1;
  }
}
