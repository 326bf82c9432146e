// The layer view: one column per layer, with a map per channel or a cell per number.

import { button, clamp, clampIndex, element, pointerCell } from './dom.js';
import { markCell, maxAbs, paintNumbers } from './paint.js';
import { product } from './runtime.js';

const MAX_MAPS = 16; // maps of a layer shown before "show all": the most active
export const STRIP_NUMBERS = 30; // elements of a vector in one vertical strip
const MAX_NUMBERS = 10 * STRIP_NUMBERS; // elements of a vector shown before "show all"
const CELL_PIXELS = 8; // height of an element in a strip
const MAP_ROWS = 3; // rows of maps in a layer's column
const MAP_SIDE_PIXELS = [44, 84]; // smallest and largest side of a map on the screen

export class LayerColumn {
  // facts: the layer's output shape, window, multiply-adds and receptive field
  constructor(page, node, facts) {
    Object.assign(this, { page, node, facts, name: node.output, showsAll: false, visible: true, canvases: [] });
    const { shape, kept } = page.network.tensors[this.name];
    this.shape = shape.slice(1);
    this.keptChannels = kept ?? null; // of a recorded layer: the channels that were recorded
    this.hasMaps = this.shape.length === 3 && this.shape[0] * this.shape[1] > 1;
    this.weight = page.computes && node.op === 'conv2d' ? page.network.tensorsNamed(node.reads[1]) : null;
    if (this.weight && this.weight.shape[0] * this.weight.shape[1] < 2) this.weight = null;
    this.title = page.layerTitle(node, facts);
    this.body = element('div', { className: this.hasMaps ? 'maps' : 'cells' });
    this.element = element(
      'section',
      { className: 'layer', 'aria-label': `${node.name}, ${this.title}`, id: `layer-${node.name}` },
      element('h3', {}, this.title),
      element('p', { className: 'about' }, page.layerSubtitle(node, facts)),
      this.body,
    );
    if (this.hasMaps) this.buildMaps();
    else this.buildStrips();
    new IntersectionObserver(
      entries => {
        const wasVisible = this.visible;
        this.visible = entries[entries.length - 1].isIntersecting;
        if (this.visible && !wasVisible) page.paintColumn(this);
      },
      { rootMargin: '200px' },
    ).observe(this.element);
  }

  get channels() {
    return this.shape[this.shape.length - 1];
  }
  channelName(channel) {
    return this.keptChannels ? this.keptChannels[channel] : channel;
  }

  // All channels, or the most active.
  shownChannels() {
    const count = this.channels,
      channels = Array.from({ length: count }, (_, c) => c);
    if (count <= MAX_MAPS || this.showsAll) return channels;
    const { data } = this.page.network.tensors[this.name],
      totals = new Float64Array(count);
    for (let k = 0; k < data.length; k++) totals[k % count] += Math.abs(data[k]);
    return channels
      .sort((a, b) => totals[b] - totals[a])
      .slice(0, MAX_MAPS)
      .sort((a, b) => a - b);
  }

  buildMaps() {
    const { page } = this,
      [rows, columns] = this.shape;
    const sidePixels = clamp(columns * Math.max(1, Math.round(76 / columns)), ...MAP_SIDE_PIXELS);
    const shown = this.shownChannels(),
      columnCount = Math.max(Math.min(3, shown.length), Math.ceil(shown.length / MAP_ROWS));
    this.body.style.setProperty('--side', `${sidePixels}px`);
    this.body.style.setProperty('--columns', columnCount);
    this.canvases = shown.map(channel => {
      const canvas = element('canvas', { width: columns, height: rows });
      const kernel = this.weight && element('canvas', { className: 'kernel' });
      const name = `${this.node.name}, ${page.words.channel} ${this.channelName(channel)}`;
      const mapButton = element(
        'button',
        { className: 'map', type: 'button', 'aria-label': name, 'aria-pressed': 'false' },
        canvas,
        element('span', { className: 'caption' }, kernel, String(this.channelName(channel))),
      );
      this.addPointerListeners(mapButton, canvas, event => {
        const { row, column } = page.selection,
          cell = event ? pointerCell(event, canvas, rows, columns) : [clampIndex(row, rows), clampIndex(column, columns)];
        page.select(this.name, channel, ...cell);
      });
      return { channel, canvas, mapButton, kernel };
    });
    this.show(this.channels, MAX_MAPS);
  }

  buildStrips() {
    const { page } = this,
      count = product(this.shape),
      shown = this.showsAll ? count : Math.min(count, MAX_NUMBERS);
    this.canvases = [];
    for (let start = 0; start < shown; start += STRIP_NUMBERS) {
      const size = Math.min(STRIP_NUMBERS, shown - start);
      const canvas = element('canvas', { width: 1, height: size, style: `height: ${size * CELL_PIXELS}px` });
      const name = `${this.node.name}, ${start} – ${start + size - 1}`;
      const mapButton = element(
        'button',
        { className: 'map', type: 'button', 'aria-label': name, 'aria-pressed': 'false' },
        canvas,
      );
      this.addPointerListeners(mapButton, canvas, event =>
        page.select(this.name, start + (event ? pointerCell(event, canvas, size, 1)[0] : 0), 0, 0),
      );
      this.canvases.push({ channel: start, canvas, mapButton, size });
    }
    this.show(count, MAX_NUMBERS);
  }

  // Hovering selects a number, a click pins it; select() without an event is a click by keyboard.
  addPointerListeners(mapButton, canvas, select) {
    const { page } = this;
    canvas.addEventListener('pointermove', event => {
      if (event.pointerType === 'mouse' && !page.pinned) select(event);
    });
    canvas.addEventListener('pointerdown', event => {
      page.unpin();
      select(event);
    });
    mapButton.addEventListener('click', event => {
      if (event.detail === 0) select();
      page.pin();
    });
    mapButton.addEventListener('keydown', event => page.moveSelection(event));
  }

  // Show the canvases, and a "show all" button if there are more than `limit`.
  show(count, limit) {
    const { words } = this.page;
    const toggleAll = () => {
      this.showsAll = !this.showsAll;
      if (this.hasMaps) this.buildMaps();
      else this.buildStrips();
      this.page.draw();
    };
    const moreButton =
      count > limit ? button(this.showsAll ? words.fewer : words.allOf(count), toggleAll, { className: 'plain show-all' }) : '';
    this.body.replaceChildren(...this.canvases.map(({ mapButton }) => mapButton), moreButton);
  }

  // tensor: the layer's values or gradients; sharedScale: the color scale of all layers, if they share one
  draw(tensor, sharedScale) {
    const { data } = tensor,
      { page } = this,
      { selection, settings } = page,
      [rows, columns] = this.shape,
      step = this.channels;
    const scale = sharedScale ?? maxAbs(data),
      ablated = page.network.ablatedChannels.get(this.name);
    for (const { channel, canvas, mapButton, kernel, size } of this.canvases) {
      if (!this.hasMaps) {
        paintNumbers(canvas, data, size, 1, scale, channel);
        const isSelected = selection.layer === this.name && selection.channel >= channel && selection.channel < channel + size;
        mapButton.setAttribute('aria-pressed', isSelected);
        if (isSelected) markCell(canvas, selection.channel - channel, 0);
        continue;
      }
      paintNumbers(canvas, data, rows, columns, settings.scale === 'map' ? maxAbs(data, channel, step) : scale, channel, step);
      if (kernel) this.drawKernel(kernel, channel);
      const isSelected = selection.layer === this.name && selection.channel === channel;
      mapButton.setAttribute('aria-pressed', isSelected);
      mapButton.classList.toggle('ablated', ablated?.has(channel) ?? false);
      if (isSelected) markCell(canvas, clampIndex(selection.row, rows), clampIndex(selection.column, columns));
    }
  }

  // The kernel of a filter for the selected input channel; backward, its gradient.
  drawKernel(canvas, filter) {
    const { page, weight } = this,
      [rows, columns, depth, filters] = weight.shape;
    const { data } = page.isBackward ? (page.network.grads[this.node.reads[1]] ?? weight) : weight;
    paintNumbers(
      canvas,
      data,
      rows,
      columns,
      maxAbs(data),
      clampIndex(page.inputChannel, depth) * filters + filter,
      depth * filters,
    );
  }

  // The offset of a number in the tensor's data.
  flatIndex(channel, row, column) {
    if (!this.hasMaps) return clampIndex(channel, product(this.shape));
    return (
      (clampIndex(row, this.shape[0]) * this.shape[1] + clampIndex(column, this.shape[1])) * this.channels +
      clampIndex(channel, this.channels)
    );
  }
}
