// The page: its state, and how it is recomputed and redrawn after each event.

import { answer, bars } from './prediction.js';
import { DrawingPad } from './drawing-pad.js';
import { build } from './build.js';
import { floats, halves, pictures, scaled, shorts } from './decode.js';
import { find, top } from './dom.js';
import { hands } from './hands.js';
import { readUrl, writeUrl } from './url-state.js';
import { addListeners } from './events.js';
import { Evaluator, serve } from './evaluator.js';
import { STRIP_NUMBERS } from './layer-columns.js';
import { SAMPLES, matrix, thumbnail } from './confusion-matrix.js';
import { Network } from './network.js';
import { freshPalette, largest, paintPixels } from './paint.js';
import { drawFilter, drawLines, drawNumber, drawEdits, showCam } from './panels.js';
import { digit, photo } from './image-input.js';
import { Recorded } from './recorded-network.js';
import { WeightEdits } from './weight-edits.js';
import { WORDS } from './translations.js';
import { product } from './runtime.js';

const IDLE_MS = 90; // pause of the pointer after which the slow panels are drawn
const LIVE_FORWARD_MS = 40; // slowest forward pass that is run again for every stroke

class Page {
  constructor(given) {
    this.given = given;
    this.computes = !given.recorded;
    const dark = matchMedia('(prefers-color-scheme: dark)').matches,
      chinese = navigator.language.startsWith('zh');
    this.first = { mode: 'forward', scale: 'layer', language: chinese ? 'zh' : 'en', theme: dark ? 'dark' : 'light' };
    this.settings = { ...this.first };
    this.final = this.computes ? (given.half ? halves : floats)(given.numbers) : null;
    this.network = this.computes ? new Network(given.spec, hands, this.final) : new Recorded(given.spec, given.recorded);
    const nodes = given.spec.nodes,
      first = nodes.find(node => node.op === 'conv2d') ?? nodes[0];
    this.at = { layer: first.output, channel: 0, row: 12, column: 12 };
    Object.assign(this, {
      pixels: null,
      image: null,
      held: false,
      assumedLabel: undefined,
      weightAt: null,
      inputChannel: 0,
      pendingEdits: [],
      offset: 0,
      forwardMs: 0,
      frame: 0,
      timer: 0,
    });
    this.edits = new WeightEdits(this);
    this.evaluator = new Evaluator(this);
    readUrl(this);
  }

  get words() {
    return WORDS[this.settings.language];
  }
  get backwards() {
    return this.settings.mode === 'backward';
  }
  get ink() {
    return this.given.ink;
  }
  get label() {
    return this.assumedLabel !== undefined ? this.assumedLabel : this.image === null ? null : this.given.samples.labels[this.image];
  }
  get prediction() {
    return top(this.network.logits.data);
  }
  // the class that the loss is against
  get lossClass() {
    return this.label ?? this.prediction;
  }
  column(name) {
    return this.columns.find(column => column.name === name);
  }
  node(name) {
    return this.given.spec.nodes.find(node => node.output === name);
  }
  shownOf(name) {
    return this.backwards ? this.network.grads[name] : this.network.tensors[name];
  }
  // of training
  get moment() {
    return this.given.snapshots[this.snapshot] ?? this.given.end;
  }

  async start() {
    const { given } = this;
    this.samples = await pictures(given.samples);
    this.tests = this.samples.slice(given.samples.first); // the images that the network is evaluated on; this.truths: their classes
    this.truths = given.samples.labels.slice(given.samples.first);
    if (this.snapshot < given.snapshots.length) this.network.take(halves(given.snapshots[this.snapshot].numbers));
    for (const edit of this.pendingEdits) {
      if (edit.output) this.edits.toggle(edit.output, edit.channel);
      else this.edits.edit(edit.name, edit.index, edit.value);
    }
    freshPalette();
    if (this.computes) this.drawingPad = new DrawingPad(find('board'), given.samples.shape, this.ink, () => this.drawn());
    this.compute();
    addListeners(this);
    build(this);
    if (this.pixels && this.drawingPad) this.drawingPad.show(this.pixels);
    this.ready = true;
    if (this.edits.touched) this.reevaluate();
    document.documentElement.dataset.ready = 'yes';
  }

  // numbers -----------------------------------------------------------------------------------------------------------

  compute() {
    // the picture through the network
    const begun = performance.now();
    if (this.image !== null) this.pixels = this.samples[this.image];
    if (!this.pixels) this.pixels = new Uint8ClampedArray(product(this.given.samples.shape));
    if (!this.computes) {
      this.network.show(this.image);
      return;
    }
    const { input } = this.network;
    scaled(this.pixels, this.given.scale, this.given.samples.shape[2], input.data);
    this.network.forward(input.data);
    this.forwardMs = performance.now() - begun;
    if (this.backwards) this.network.backward(this.lossClass);
  }

  drawn() {
    // a stroke on the board: seen in the next frame, or by a slow network once the hand rests
    const show = () => {
      this.strokes = null;
      this.see(this.drawingPad.pixels(find('center').checked && this.ink));
    };
    if (this.forwardMs > LIVE_FORWARD_MS) {
      clearTimeout(this.strokes);
      this.strokes = setTimeout(show, IDLE_MS);
    } else this.strokes ??= requestAnimationFrame(show);
  }
  see(pixels) {
    // a picture of the reader's own
    this.image = null;
    this.pixels = pixels;
    this.compute();
    this.draw();
  }
  take(k, scroll = false) {
    // a sample
    this.image = k;
    this.assumedLabel = undefined;
    this.compute();
    this.drawingPad?.show(this.pixels);
    this.draw();
    if (scroll)
      find('layers-title').scrollIntoView({
        behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth',
      });
  }
  async open(file) {
    const { given } = this,
      says = find('unreadable');
    says.textContent = '';
    try {
      find('photo-prediction')?.replaceChildren(this.words.looking);
      await new Promise(done => {
        setTimeout(done, 20);
      });
      const pixels = await (this.ink ? digit(file, given.samples.shape) : photo(file, given.samples.shape, given.crop));
      this.see(pixels);
      this.drawingPad?.show(pixels);
      const shown = find('photo');
      if (shown) {
        URL.revokeObjectURL(shown.src);
        shown.src = URL.createObjectURL(file);
        shown.hidden = false;
      }
    } catch {
      says.textContent = this.words.unreadable(file.name);
      find('photo-prediction')?.replaceChildren(says.textContent);
    }
  }
  assumeLabel(label) {
    this.assumedLabel = label;
    this.compute();
    this.draw();
  }
  edit(name, index, value) {
    // once the focus is where it goes next
    setTimeout(() => {
      const fields = () => [...find('sum').querySelectorAll('input')],
        at = fields().indexOf(document.activeElement);
      this.edits.edit(name, index, value);
      if (at >= 0) fields()[at]?.focus();
    });
  }
  changed() {
    // the numbers of the network
    if (!this.ready) return;
    this.compute();
    this.draw();
    this.reevaluate();
  }
  goTo(snapshot) {
    const { given } = this;
    this.snapshot = snapshot;
    this.network.take(snapshot < given.snapshots.length ? halves(given.snapshots[snapshot].numbers) : this.final);
    this.edits.again();
    this.compute();
    this.epochs.show();
    this.draw();
    this.reevaluate();
  }
  reevaluate() {
    // the test pictures, on the numbers of now
    const { given } = this;
    if (!given.samples.tested) return;
    this.evaluator.stop();
    if (!this.edits.touched) {
      this.showEvaluation(shorts(this.moment.predictions), this.tests.length);
      return;
    }
    this.evaluator.run((predictions, count) => this.showEvaluation(predictions, count));
  }
  showEvaluation(predictions, count) {
    const right = predictions.reduce((sum, prediction, k) => sum + (prediction === this.truths[k]), 0) / count,
      all = count === this.tests.length;
    this.verdict = { right, count, all };
    drawEdits(this);
    if (all) matrix(this, predictions, find('matrix'));
  }

  // hands -------------------------------------------------------------------------------------------------------------

  point(layer, channel, row, column) {
    this.at = { layer, channel, row, column };
    this.weightAt = null;
    this.scheduleDraw();
  }
  release() {
    this.held = false;
  }
  hold() {
    this.held = true;
    this.scheduleDraw();
  }
  chooseWeight(name, index) {
    this.weightAt = { name, index };
    this.held = true;
    drawNumber(this);
    this.scheduleSlowPanels();
  }
  lookAt(channel) {
    this.inputChannel = channel;
    this.draw();
  }
  walk(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const { at } = this,
      column = this.column(at.layer),
      clamp = (value, size) => Math.min(size - 1, Math.max(0, value));
    this.held = true;
    if (column.maps)
      this.point(at.layer, at.channel, clamp(at.row + step[0], column.shape[0]), clamp(at.column + step[1], column.shape[1]));
    else this.point(at.layer, clamp(at.channel + step[0] + step[1] * STRIP_NUMBERS, this.network.tensors[at.layer].size), 0, 0);
  }
  scheduleDraw() {
    // another number, in the next frame
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      const name = this.pointed;
      this.pointed = this.at.layer;
      for (const layer of new Set([name, this.at.layer])) if (layer) this.paintColumn(this.column(layer));
      drawNumber(this);
      this.scheduleSlowPanels();
    });
  }

  rebuild() {
    // after a change of what everything is drawn by
    this.weightAt = null;
    this.compute();
    build(this);
  }

  // words -------------------------------------------------------------------------------------------------------------

  kind(node, row) {
    const kind = this.words.kinds[node.op] ?? node.op.replaceAll('_', ' ');
    return row.window ? `${kind} ${row.window.join(' × ')}` : kind;
  }
  about(node, row) {
    const shape = row.shape.join(' × '),
      { field } = row;
    return `${node.name} · ${shape}${field[0] * field[1] > 1 && row.shape.length === 3 ? ` · ${this.words.sees(field.join(' × '))}` : ''}`;
  }

  // pictures ----------------------------------------------------------------------------------------------------------

  paintColumn(column) {
    const tensor = this.shownOf(column.name);
    if (tensor && column.visible) column.draw(tensor, this.settings.scale === 'all' ? this.scaleOfAll : undefined);
  }

  draw() {
    if (!this.columns) return;
    if (this.settings.scale === 'all')
      this.scaleOfAll = Math.max(...this.columns.map(column => largest(this.shownOf(column.name)?.data ?? [])));
    for (const column of this.columns) this.paintColumn(column);
    this.pointed = this.at.layer;
    paintPixels(find('seen'), this.pixels, this.given.samples.shape);
    find('layers-about').textContent = this.backwards ? this.words.layersBackward : this.words.layersForward;
    find('answer').replaceChildren(...answer(this));
    find('photo-prediction')?.replaceChildren(...(this.image === null ? bars(this) : []));
    this.drawSamples();
    drawNumber(this);
    this.scheduleSlowPanels();
  }

  others() {
    // the next samples
    this.offset = (this.offset + SAMPLES) % Math.max(1, this.given.samples.count);
    this.drawSamples();
  }
  drawSamples() {
    const { count } = this.given.samples,
      shown = Math.min(SAMPLES, count);
    const wanted = Array.from({ length: shown }, (_, k) => (this.offset + k) % count);
    const now = [...find('samples').children].map(button => Number(button.dataset.image));
    if (String(now) !== String(wanted) || find('samples').lang !== this.settings.language)
      find('samples').replaceChildren(...wanted.map(k => thumbnail(this, k)));
    find('samples').lang = this.settings.language;
    for (const button of document.querySelectorAll('[data-image]'))
      button.setAttribute('aria-pressed', Number(button.dataset.image) === this.image);
  }

  scheduleSlowPanels() {
    // what may take longer than a frame, once nothing has moved for a while
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      drawFilter(this);
      showCam(this);
      drawEdits(this);
      if (this.backwards && this.computes) drawLines(this);
      writeUrl(this);
    }, IDLE_MS);
  }
}

if (globalThis.document) {
  globalThis.byhand = new Page(JSON.parse(find('data').textContent)); // in the console: byhand.network.tensors
  globalThis.byhand.start();
} else serve();
