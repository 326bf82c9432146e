// The layer view: one column per layer, with a map per channel or a cell per number.

import { button, element, inside, where } from './dom.js';
import { dot, largest, paint } from './paint.js';
import { product } from './runtime.js';

const FEW = 16; // maps of a layer that are shown at first: the most active ones
export const TALL = 30; // numbers of a vector, one below the other
const MANY = 10 * TALL; // of them that are shown at first
const CELL = 8; // pixels of one of them
const ROWS = 3; // of maps
const SIDES = [44, 84]; // pixels of a map

export class Column {
  constructor(page, node, row) {
    // row: what Python knows of the layer: its window, what it sees
    Object.assign(this, { page, node, row, name: node.output, all: false, visible: true, canvases: [] });
    const { shape, kept } = page.network.tensors[this.name];
    this.shape = shape.slice(1);
    this.kept = kept ?? null; // of a recorded layer: which channels there are
    this.maps = this.shape.length === 3 && this.shape[0] * this.shape[1] > 1;
    this.weight = page.computes && node.op === 'conv2d' ? page.network.of(node.reads[1]) : null;
    if (this.weight && this.weight.shape[0] * this.weight.shape[1] < 2) this.weight = null;
    this.title = page.kind(node, row);
    this.body = element('div', { className: this.maps ? 'maps' : 'cells' });
    this.box = element(
      'section',
      { className: 'layer', 'aria-label': `${node.name}, ${this.title}`, id: `layer-${node.name}` },
      element('h3', {}, this.title),
      element('p', { className: 'about' }, page.about(node, row)),
      this.body,
    );
    if (this.maps) this.grid();
    else this.strip();
    new IntersectionObserver(
      found => {
        const before = this.visible;
        this.visible = found[found.length - 1].isIntersecting;
        if (this.visible && !before) page.paintColumn(this);
      },
      { rootMargin: '200px' },
    ).observe(this.box);
  }

  get channels() {
    return this.shape[this.shape.length - 1];
  }
  channelName(channel) {
    return this.kept ? this.kept[channel] : channel;
  }

  order() {
    // which channels are shown: all, or the most active
    const count = this.channels,
      list = Array.from({ length: count }, (_, c) => c);
    if (count <= FEW || this.all) return list;
    const { d } = this.page.network.tensors[this.name],
      power = new Float64Array(count);
    for (let k = 0; k < d.length; k++) power[k % count] += Math.abs(d[k]);
    return list
      .sort((a, b) => power[b] - power[a])
      .slice(0, FEW)
      .sort((a, b) => a - b);
  }

  grid() {
    const { page } = this,
      [rows, columns] = this.shape;
    const side = Math.max(SIDES[0], Math.min(SIDES[1], columns * Math.max(1, Math.round(76 / columns))));
    const shown = this.order(),
      across = Math.max(Math.min(3, shown.length), Math.ceil(shown.length / ROWS));
    this.body.style.setProperty('--side', `${side}px`);
    this.body.style.setProperty('--columns', across);
    this.canvases = shown.map(channel => {
      const canvas = element('canvas', { width: columns, height: rows });
      const kernel = this.weight && element('canvas', { className: 'kernel' });
      const name = `${this.node.name}, ${page.words.channel} ${this.channelName(channel)}`;
      const made = element(
        'button',
        { className: 'map', type: 'button', 'aria-label': name, 'aria-pressed': 'false' },
        canvas,
        element('span', { className: 'caption' }, kernel, String(this.channelName(channel))),
      );
      this.pointable(made, canvas, event => {
        const { row, column } = page.at,
          at = event ? where(event, canvas, columns, rows) : [inside(row, rows), inside(column, columns)];
        page.point(this.name, channel, ...at);
      });
      return { channel, canvas, made, kernel };
    });
    this.fill(this.channels, FEW);
  }

  strip() {
    const { page } = this,
      count = product(this.shape),
      shown = this.all ? count : Math.min(count, MANY);
    this.canvases = [];
    for (let start = 0; start < shown; start += TALL) {
      const size = Math.min(TALL, shown - start);
      const canvas = element('canvas', { width: 1, height: size, style: `height: ${size * CELL}px` });
      const name = `${this.node.name}, ${start} – ${start + size - 1}`;
      const made = element('button', { className: 'map', type: 'button', 'aria-label': name, 'aria-pressed': 'false' }, canvas);
      this.pointable(made, canvas, event =>
        page.point(this.name, start + (event ? where(event, canvas, 1, size)[0] : 0), 0, 0),
      );
      this.canvases.push({ channel: start, canvas, made, size });
    }
    this.fill(count, MANY);
  }

  // Hovering points, a click holds; point(event), and point() where the keyboard clicks.
  pointable(made, canvas, point) {
    const { page } = this;
    canvas.addEventListener('pointermove', event => {
      if (event.pointerType === 'mouse' && !page.held) point(event);
    });
    canvas.addEventListener('pointerdown', event => {
      page.release();
      point(event);
    });
    made.addEventListener('click', event => {
      if (event.detail === 0) point();
      page.hold();
    });
    made.addEventListener('keydown', event => page.walk(event));
  }

  fill(count, few) {
    // what was made, and a button for the rest
    const { words } = this.page;
    const turn = () => {
      this.all = !this.all;
      if (this.maps) this.grid();
      else this.strip();
      this.page.draw();
    };
    const rest = count > few ? button(this.all ? words.fewer : words.allOf(count), turn, { className: 'plain more' }) : '';
    this.body.replaceChildren(...this.canvases.map(one => one.made), rest);
  }

  draw(tensor, all) {
    // the layer's numbers, or their gradients; all: the scale, where it is everybody's
    const { d } = tensor,
      { page } = this,
      { at, settings } = page,
      [rows, columns] = this.shape,
      step = this.channels;
    const scale = all ?? largest(d),
      off = page.network.off.get(this.name);
    for (const { channel, canvas, made, kernel, size } of this.canvases) {
      if (!this.maps) {
        paint(canvas, d, size, 1, scale, channel);
        const here = at.layer === this.name && at.channel >= channel && at.channel < channel + size;
        made.setAttribute('aria-pressed', here);
        if (here) dot(canvas, at.channel - channel, 0);
        continue;
      }
      paint(canvas, d, rows, columns, settings.scale === 'map' ? largest(d, channel, step) : scale, channel, step);
      if (kernel) this.drawKernel(kernel, channel);
      const here = at.layer === this.name && at.channel === channel;
      made.setAttribute('aria-pressed', here);
      made.classList.toggle('off', off?.has(channel) ?? false);
      if (here) dot(canvas, inside(at.row, rows), inside(at.column, columns));
    }
  }

  drawKernel(canvas, filter) {
    // of the input channel that is looked at
    const { page, weight } = this,
      [rows, columns, depth, filters] = weight.shape;
    const { d } = page.backwards ? (page.network.grads[this.node.reads[1]] ?? weight) : weight;
    paint(canvas, d, rows, columns, largest(d), inside(page.inputChannel, depth) * filters + filter, depth * filters);
  }

  index(channel, row, column) {
    // where a number stands in memory
    if (!this.maps) return inside(channel, product(this.shape));
    return (
      (inside(row, this.shape[0]) * this.shape[1] + inside(column, this.shape[1])) * this.channels +
      inside(channel, this.channels)
    );
  }
}
