// A convolution, step by step: a window that moves over an image, with its size, stride, padding and dilation as sliders.
//
//     output = floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1

import { button, element, labeled, sign } from './dom.js';
import { digits, largest } from './paint.js';
import { grid } from './arithmetic.js';

const LIMITS = { size: [3, 28], kernel: [1, 7], stride: [1, 4], padding: [0, 4], dilation: [1, 3] };
const SIDE = 252; // pixels of a grid on the screen
const PACE = 350; // milliseconds a step
const ARTICLE = [
  // 28x28x1 -> 26x26x8 -> 13x13x8 -> 10
  { size: 28, kernel: 3, stride: 1, padding: 0, dilation: 1, pool: false },
  { size: 26, kernel: 2, stride: 2, padding: 0, dilation: 1, pool: true },
];
const outputOf = ({ size, kernel, stride, padding, dilation }) =>
  Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;

export class Steps {
  constructor(page, place) {
    Object.assign(this, { page, place, set: { ...ARTICLE[0] }, at: 322, timer: 0 });
    this.build();
  }

  get output() {
    return outputOf(this.set);
  }

  // What the window moves over: this page's image where it has that size, else a small pattern of whole numbers.
  source() {
    const { page, set } = this,
      shape = page.given.samples.shape,
      { size } = set;
    if (set.pool) {
      // what the convolution before it made
      const conv = new Float32Array(size * size),
        image = this.image(size + 2, shape),
        kernel = this.kernel(3);
      for (let i = 0; i < size; i++)
        for (let j = 0; j < size; j++)
          for (let r = 0; r < 3; r++)
            for (let s = 0; s < 3; s++) {
              conv[i * size + j] += image[(i + r) * (size + 2) + j + s] * kernel[r * 3 + s];
            }
      return conv;
    }
    return this.image(size, shape);
  }
  image(size, [height, width, channels]) {
    const { pixels, given } = this.page;
    return Float32Array.from({ length: size * size }, (_, k) => {
      const i = Math.floor(((Math.floor(k / size) + 0.5) * height) / size),
        j = Math.floor((((k % size) + 0.5) * width) / size);
      return pixels && given.samples.count ? pixels[(i * width + j) * channels] / 255 : ((i * 3 + j * 5) % 7) / 7;
    });
  }
  kernel(size) {
    // the edge that the article begins with, at any size
    return Float32Array.from({ length: size * size }, (_, k) => Math.sign((k % size) - (size - 1) / 2) || (size === 1 ? 1 : 0));
  }

  build() {
    const { words } = this.page;
    this.sliders = Object.entries(LIMITS).map(([name, [low, high]]) => {
      const shown = element('output', {}, String(this.set[name]));
      const input = element('input', {
        type: 'range',
        min: low,
        max: high,
        value: this.set[name],
        'aria-label': words[name],
        oninput: () => this.change(name, Number(input.value), input, shown),
      });
      return {
        name,
        input,
        shown,
        box: element('label', { className: 'setting' }, element('span', {}, words[name]), input, shown),
      };
    });
    this.formula = element('p', { className: 'formula', 'aria-live': 'polite' });
    this.image_ = element('canvas', { role: 'img', 'aria-label': words.image_, width: SIDE, height: SIDE });
    this.made = element('canvas', { role: 'img', 'aria-label': words.output, width: SIDE, height: SIDE });
    this.made.addEventListener('pointermove', event => {
      if (event.pointerType === 'mouse') this.pointed(event);
    });
    this.made.addEventListener('pointerdown', event => this.pointed(event));
    this.sum = element('div', { className: 'sum' });
    this.playing = button(words.play, () => this.play());
    const chain = element('div', { className: 'row chain' }, ...this.chain());
    this.place.replaceChildren(
      element('h2', {}, words.stepByStep),
      element('p', { className: 'about' }, words.stepByStepAbout),
      chain,
      element(
        'div',
        { className: 'steps' },
        element(
          'div',
          { className: 'settings' },
          ...this.sliders.map(slider => slider.box),
          this.formula,
          element(
            'p',
            { className: 'row' },
            this.playing,
            button(words.next, () => this.step(1)),
          ),
        ),
        element(
          'div',
          { className: 'sum wide' },
          labeled(this.image_, words.image_),
          sign('→'),
          labeled(this.made, words.output),
        ),
        this.sum,
      ),
    );
    this.draw();
  }

  chain() {
    // the article's network, as a chain of shapes
    const shapes = ['28 × 28 × 1', '26 × 26 × 8', '13 × 13 × 8', '10'],
      { words } = this.page;
    const ops = [words.kinds.conv2d, words.kinds.max_pool, words.kinds.linear];
    return shapes
      .flatMap((text, k) => [
        element('b', {}, text),
        k < 2
          ? button(`${ops[k]} →`, () => {
              this.set = { ...ARTICLE[k] };
              this.at = 0;
              this.build();
            })
          : k < 3
            ? element('span', { className: 'about' }, `${ops[k]} →`)
            : null,
      ])
      .filter(Boolean);
  }

  change(name, value, input, shown) {
    const wanted = { ...this.set, [name]: value, pool: false };
    if (outputOf(wanted) < 1) {
      input.value = this.set[name];
      this.formula.textContent = this.page.words.impossible(
        wanted.dilation * (wanted.kernel - 1) + 1,
        wanted.size + 2 * wanted.padding,
      );
      this.formula.classList.add('refused');
      return;
    }
    this.set = wanted;
    shown.textContent = String(value);
    this.at = Math.min(this.at, this.output ** 2 - 1);
    this.draw();
  }

  pointed(event) {
    const box = this.made.getBoundingClientRect(),
      n = this.output;
    const of = (value, size) => Math.min(n - 1, Math.max(0, Math.floor((value / size) * n)));
    this.at = of(event.clientY - box.top, box.height) * n + of(event.clientX - box.left, box.width);
    this.draw();
  }
  step(by) {
    this.at = (this.at + by) % this.output ** 2;
    this.draw();
  }
  play() {
    if (this.timer) {
      clearInterval(this.timer);
      this.timer = 0;
    } else this.timer = setInterval(() => this.step(1), PACE);
    this.playing.textContent = this.timer ? this.page.words.pause : this.page.words.play;
  }

  draw() {
    const { set, page, output: n } = this,
      { words } = page,
      { size, kernel, stride, padding, dilation, pool } = set;
    const source = this.source(),
      weight = this.kernel(kernel),
      out = new Float32Array(n * n),
      whole = size + 2 * padding;
    const seen = (i, j) => {
      const patch = [];
      for (let r = 0; r < kernel; r++)
        for (let s = 0; s < kernel; s++) {
          const p = i * stride - padding + r * dilation,
            q = j * stride - padding + s * dilation;
          patch.push(p < 0 || q < 0 || p >= size || q >= size ? null : source[p * size + q]);
        }
      return patch;
    };
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        const patch = seen(i, j);
        out[i * n + j] = pool
          ? Math.max(...patch.map(value => value ?? -Infinity))
          : patch.reduce((sum, value, k) => sum + (value ?? 0) * weight[k], 0);
      }
    const row = Math.floor(this.at / n),
      column = this.at % n;
    this.formula.classList.remove('refused');
    this.formula.textContent = `⌊(${size} + 2·${padding} − ${dilation}·(${kernel} − 1) − 1) / ${stride}⌋ + 1 = ${n}`;
    const cells = (side, value, within) => Array.from({ length: side * side }, (_, k) => [value(k), within(k)]);
    this.grid(
      this.image_,
      whole,
      cells(
        whole,
        k => {
          const i = Math.floor(k / whole) - padding,
            j = (k % whole) - padding;
          return i < 0 || j < 0 || i >= size || j >= size ? null : source[i * size + j];
        },
        () => true,
      ),
      Array.from({ length: kernel * kernel }, (_, k) => [
        row * stride + Math.floor(k / kernel) * dilation,
        column * stride + (k % kernel) * dilation,
      ]),
    );
    this.grid(
      this.made,
      n,
      cells(
        n,
        k => (k <= this.at ? out[k] : null),
        () => true,
      ),
      [[row, column]],
    );
    const patch = seen(row, column),
      lines = list => Array.from({ length: kernel }, (_, r) => list.slice(r * kernel, r * kernel + kernel));
    const total = element('output', { className: 'result' }, digits(out[this.at]));
    if (pool) {
      const best = patch.indexOf(Math.max(...patch.map(value => value ?? -Infinity)));
      this.sum.replaceChildren(
        grid(lines(patch), words.patch, { best: [Math.floor(best / kernel), best % kernel] }),
        sign('→'),
        labeled(total, words.largestOf),
      );
    } else {
      this.sum.replaceChildren(
        grid(lines(patch), words.patch),
        sign('×'),
        grid(lines([...weight]), words.kernel, { places: 0 }),
        sign('='),
        grid(lines(patch.map((value, k) => (value === null ? null : value * weight[k]))), words.products),
        sign('→'),
        labeled(total, words.sum),
      );
    }
  }

  grid(canvas, count, cells, window) {
    // numbers as cells, the window's with a border
    const context = canvas.getContext('2d'),
      side = SIDE / count,
      style = getComputedStyle(document.documentElement);
    const most = largest(cells.map(([value]) => value ?? 0)),
      of = name => style.getPropertyValue(name).trim();
    context.clearRect(0, 0, SIDE, SIDE);
    cells.forEach(([value], k) => {
      const x = (k % count) * side,
        y = Math.floor(k / count) * side;
      context.globalAlpha = 1;
      context.fillStyle = of('--zero');
      if (value !== null) context.fillRect(x, y, side, side);
      if (value) {
        context.globalAlpha = Math.min(1, Math.abs(value) / most);
        context.fillStyle = of(value > 0 ? '--plus' : '--minus');
        context.fillRect(x, y, side, side);
      }
      context.globalAlpha = 0.25;
      context.strokeStyle = of('--line');
      context.strokeRect(x, y, side, side);
    });
    context.globalAlpha = 1;
    context.strokeStyle = of('--mark');
    context.lineWidth = 2;
    for (const [i, j] of window) context.strokeRect(j * side + 1, i * side + 1, side - 2, side - 2);
    context.lineWidth = 1;
  }
}
