// The layer view: one column per layer, with a map per channel or a cell per number.

import { button, clamp, clampIndex, element, where } from './dom.js';
import { dot, largest, paint } from './paint.js';
import { product } from './runtime.js';

const MAX_MAPS = 16; // most active maps of a layer that are shown before "show all"
export const STRIP_NUMBERS = 30; // numbers of a vector in one vertical strip
const MAX_NUMBERS = 10 * STRIP_NUMBERS; // of a vector that are shown before "show all"
const CELL_PIXELS = 8; // height of a number in a strip
const MAP_ROWS = 3; // of maps in a layer's column
const MAP_SIDE_PIXELS = [44, 84]; // smallest and largest side of a map on the screen

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
    if (count <= MAX_MAPS || this.all) return list;
    const { data } = this.page.network.tensors[this.name],
      power = new Float64Array(count);
    for (let k = 0; k < data.length; k++) power[k % count] += Math.abs(data[k]);
    return list
      .sort((a, b) => power[b] - power[a])
      .slice(0, MAX_MAPS)
      .sort((a, b) => a - b);
  }

  grid() {
    const { page } = this,
      [rows, columns] = this.shape;
    const side = clamp(columns * Math.max(1, Math.round(76 / columns)), ...MAP_SIDE_PIXELS);
    const shown = this.order(),
      across = Math.max(Math.min(3, shown.length), Math.ceil(shown.length / MAP_ROWS));
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
          at = event ? where(event, canvas, columns, rows) : [clampIndex(row, rows), clampIndex(column, columns)];
        page.point(this.name, channel, ...at);
      });
      return { channel, canvas, made, kernel };
    });
    this.fill(this.channels, MAX_MAPS);
  }

  strip() {
    const { page } = this,
      count = product(this.shape),
      shown = this.all ? count : Math.min(count, MAX_NUMBERS);
    this.canvases = [];
    for (let start = 0; start < shown; start += STRIP_NUMBERS) {
      const size = Math.min(STRIP_NUMBERS, shown - start);
      const canvas = element('canvas', { width: 1, height: size, style: `height: ${size * CELL_PIXELS}px` });
      const name = `${this.node.name}, ${start} – ${start + size - 1}`;
      const made = element('button', { className: 'map', type: 'button', 'aria-label': name, 'aria-pressed': 'false' }, canvas);
      this.pointable(made, canvas, event =>
        page.point(this.name, start + (event ? where(event, canvas, 1, size)[0] : 0), 0, 0),
      );
      this.canvases.push({ channel: start, canvas, made, size });
    }
    this.fill(count, MAX_NUMBERS);
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

  fill(count, limit) {
    // show the canvases, and a button that shows all where there are more than `limit`
    const { words } = this.page;
    const turn = () => {
      this.all = !this.all;
      if (this.maps) this.grid();
      else this.strip();
      this.page.draw();
    };
    const rest = count > limit ? button(this.all ? words.fewer : words.allOf(count), turn, { className: 'plain more' }) : '';
    this.body.replaceChildren(...this.canvases.map(({ made }) => made), rest);
  }

  draw(tensor, all) {
    // tensor: the layer's values or gradients; all: the color scale that all layers share, if they do
    const { data } = tensor,
      { page } = this,
      { at, settings } = page,
      [rows, columns] = this.shape,
      step = this.channels;
    const scale = all ?? largest(data),
      off = page.network.off.get(this.name);
    for (const { channel, canvas, made, kernel, size } of this.canvases) {
      if (!this.maps) {
        paint(canvas, data, size, 1, scale, channel);
        const here = at.layer === this.name && at.channel >= channel && at.channel < channel + size;
        made.setAttribute('aria-pressed', here);
        if (here) dot(canvas, at.channel - channel, 0);
        continue;
      }
      paint(canvas, data, rows, columns, settings.scale === 'map' ? largest(data, channel, step) : scale, channel, step);
      if (kernel) this.drawKernel(kernel, channel);
      const here = at.layer === this.name && at.channel === channel;
      made.setAttribute('aria-pressed', here);
      made.classList.toggle('off', off?.has(channel) ?? false);
      if (here) dot(canvas, clampIndex(at.row, rows), clampIndex(at.column, columns));
    }
  }

  drawKernel(canvas, filter) {
    // of the input channel that is looked at
    const { page, weight } = this,
      [rows, columns, depth, filters] = weight.shape;
    const { data } = page.backwards ? (page.network.grads[this.node.reads[1]] ?? weight) : weight;
    paint(canvas, data, rows, columns, largest(data), clampIndex(page.inputChannel, depth) * filters + filter, depth * filters);
  }

  index(channel, row, column) {
    // where a number stands in memory
    if (!this.maps) return clampIndex(channel, product(this.shape));
    return (
      (clampIndex(row, this.shape[0]) * this.shape[1] + clampIndex(column, this.shape[1])) * this.channels +
      clampIndex(channel, this.channels)
    );
  }
}
