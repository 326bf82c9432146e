// The page: its state, and how it is recomputed and redrawn after each event.

import { predictionPanel, topClasses } from './prediction.js';
import { DrawingPad } from './drawing-pad.js';
import { buildPage } from './build.js';
import { decodeFloat32, decodeFloat16, decodeImages, normalize, decodeUint16 } from './decode.js';
import { byId, argmax } from './dom.js';
import { hands } from './hands.js';
import { readUrl, writeUrl } from './url-state.js';
import { addListeners } from './events.js';
import { Evaluator, serveWorker } from './evaluator.js';
import { STRIP_NUMBERS } from './layer-columns.js';
import { MAX_SAMPLE_THUMBNAILS, drawConfusionMatrix, thumbnail } from './confusion-matrix.js';
import { Network } from './network.js';
import { updatePalette, maxAbs, paintPixels } from './paint.js';
import { drawFilter, drawGradientSource, drawNumber, drawEdits, showCam } from './panels.js';
import { isDeepPng, loadDigit, loadPhoto } from './image-input.js';
import { RecordedNetwork } from './recorded-network.js';
import { WeightEdits } from './weight-edits.js';
import { WORDS } from './translations.js';
import { product } from './runtime.js';

const IDLE_MS = 90; // the slow panels are drawn once the pointer has paused for so long
const LIVE_FORWARD_MS = 40; // a faster forward pass is run again for every stroke

class Page {
  constructor(data) {
    this.data = data;
    this.computes = !data.recorded;
    const dark = matchMedia('(prefers-color-scheme: dark)').matches,
      chinese = navigator.language.startsWith('zh');
    this.defaultSettings = { mode: 'forward', scale: 'layer', language: chinese ? 'zh' : 'en', theme: dark ? 'dark' : 'light' };
    this.settings = { ...this.defaultSettings };
    this.finalParameters = this.computes ? (data.half ? decodeFloat16 : decodeFloat32)(data.parameters) : null;
    this.network = this.computes
      ? new Network(data.spec, hands, this.finalParameters)
      : new RecordedNetwork(data.spec, data.recorded);
    const nodes = data.spec.nodes,
      firstLayer = nodes.find(node => node.op === 'conv2d') ?? nodes[0];
    this.selection = { layer: firstLayer.output, channel: 0, row: 12, column: 12 };
    Object.assign(this, {
      pixels: null,
      sampleIndex: null, // null: a drawing or an opened file
      pinned: false, // true: hovering does not change the selection
      assumedLabel: undefined, // undefined: the sample's own label; null: unknown
      selectedWeight: null,
      inputChannel: 0,
      pendingEdits: [], // from the URL
      firstSample: 0, // of the thumbnails
      forwardMs: 0,
      drawRequest: 0,
      slowPanelsTimer: 0,
    });
    this.edits = new WeightEdits(this);
    this.evaluator = new Evaluator(this);
    readUrl(this);
  }

  get words() {
    return WORDS[this.settings.language];
  }
  get isBackward() {
    return this.settings.mode === 'backward';
  }
  get inverted() {
    return this.data.inverted;
  }
  get label() {
    return this.assumedLabel !== undefined
      ? this.assumedLabel
      : this.sampleIndex === null
        ? null
        : this.data.samples.labels[this.sampleIndex];
  }
  get prediction() {
    return argmax(this.network.logits.data);
  }

  // The class that the loss is computed for.
  get lossClass() {
    return this.label ?? this.prediction;
  }
  column(name) {
    return this.columns.find(column => column.name === name);
  }
  node(name) {
    return this.data.spec.nodes.find(node => node.output === name);
  }
  displayedTensor(name) {
    return this.isBackward ? this.network.grads[name] : this.network.tensors[name];
  }
  get currentSnapshot() {
    return this.data.snapshots[this.snapshot] ?? this.data.end;
  }

  async start() {
    const { data } = this;
    this.samples = await decodeImages(data.samples);
    // The images that an edited network is evaluated on, and their classes.
    this.testImages = this.samples.slice(data.samples.firstTest);
    this.testLabels = data.samples.labels.slice(data.samples.firstTest);
    if (this.snapshot < data.snapshots.length)
      this.network.setParameters(decodeFloat16(data.snapshots[this.snapshot].parameters));
    for (const edit of this.pendingEdits) {
      if (edit.output) this.edits.toggle(edit.output, edit.channel);
      else this.edits.edit(edit.name, edit.index, edit.value);
    }
    updatePalette();
    if (this.computes)
      this.drawingPad = new DrawingPad(byId('drawing-pad'), data.samples.shape, this.inverted, () => this.onStroke());
    this.compute();
    addListeners(this);
    buildPage(this);
    if (this.pixels && this.drawingPad) this.drawingPad.show(this.pixels);
    this.ready = true;
    if (this.edits.modified) this.reevaluate();
    document.documentElement.dataset.ready = 'yes';
  }

  // state -------------------------------------------------------------------------------------------------------------

  // Run the network on the current image.
  compute() {
    const start = performance.now();
    if (this.sampleIndex !== null) this.pixels = this.samples[this.sampleIndex];
    if (!this.pixels) this.pixels = new Uint8ClampedArray(product(this.data.samples.shape));
    if (!this.computes) {
      this.network.show(this.sampleIndex);
      return;
    }
    const { input } = this.network;
    normalize(this.pixels, this.data.normalization, this.data.samples.shape[2], input.data);
    this.network.forward(input.data);
    this.forwardMs = performance.now() - start;
    if (this.isBackward) this.network.backward(this.lossClass);
  }

  // A fast network follows each stroke in the next frame; a slow one runs once the pointer pauses.
  onStroke() {
    const showDrawing = () => {
      this.pendingStroke = null;
      this.showImage(this.drawingPad.pixels(byId('center').checked && this.inverted));
    };
    if (this.forwardMs > LIVE_FORWARD_MS) {
      clearTimeout(this.pendingStroke);
      this.pendingStroke = setTimeout(showDrawing, IDLE_MS);
    } else this.pendingStroke ??= requestAnimationFrame(showDrawing);
  }

  // Show an image that is not a sample: a drawing or an opened file.
  showImage(pixels) {
    this.sampleIndex = null;
    this.pixels = pixels;
    this.compute();
    this.draw();
  }

  // Show sample k; scroll: bring the layers into view.
  showSample(k, scroll = false) {
    this.sampleIndex = k;
    this.assumedLabel = undefined;
    this.compute();
    this.drawingPad?.show(this.pixels);
    this.draw();
    if (scroll)
      byId('layers-title').scrollIntoView({
        behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth',
      });
  }
  async openFile(file) {
    const { data } = this,
      errorText = byId('unreadable');
    errorText.textContent = '';
    try {
      byId('photo-prediction')?.replaceChildren(this.words.computing);
      await new Promise(done => {
        setTimeout(done, 20);
      });
      if (await isDeepPng(file)) throw new Error(this.words.deepPixels(file.name));
      const pixels = await (this.inverted
        ? loadDigit(file, data.samples.shape)
        : loadPhoto(file, data.samples.shape, data.crop));
      this.showImage(pixels);
      this.drawingPad?.show(pixels);
      const preview = byId('photo');
      if (preview) {
        URL.revokeObjectURL(preview.src);
        preview.src = URL.createObjectURL(file);
        preview.hidden = false;
      }
    } catch (error) {
      errorText.textContent =
        error.message === this.words.deepPixels(file.name) ? error.message : this.words.unreadable(file.name);
      byId('photo-prediction')?.replaceChildren(errorText.textContent);
    }
  }
  assumeLabel(label) {
    this.assumedLabel = label;
    this.compute();
    this.draw();
  }
  edit(name, index, value) {
    // Wait until the browser has moved the focus: redrawing replaces the input fields, and the focus is then restored.
    setTimeout(() => {
      const inputs = () => [...byId('arithmetic').querySelectorAll('input')],
        focused = inputs().indexOf(document.activeElement);
      this.edits.edit(name, index, value);
      if (focused >= 0) inputs()[focused]?.focus();
    });
  }

  // Recompute after a change of weights or ablated channels.
  onEdit() {
    if (!this.ready) return;
    this.compute();
    this.draw();
    this.reevaluate();
  }
  showSnapshot(snapshot) {
    const { data } = this;
    this.snapshot = snapshot;
    this.network.setParameters(
      snapshot < data.snapshots.length ? decodeFloat16(data.snapshots[snapshot].parameters) : this.finalParameters,
    );
    this.edits.reapply();
    this.compute();
    this.trainingHistory.show();
    this.draw();
    this.reevaluate();
  }

  // Evaluate the edited network on the test images.
  reevaluate() {
    const { data } = this;
    if (!data.samples.tested) return;
    this.evaluator.stop();
    if (!this.edits.modified) {
      this.showEvaluation(decodeUint16(this.currentSnapshot.predictions), this.testImages.length);
      return;
    }
    this.evaluator.run((predictions, count) => this.showEvaluation(predictions, count));
  }
  showEvaluation(predictions, count) {
    const accuracy = predictions.reduce((sum, prediction, k) => sum + (prediction === this.testLabels[k]), 0) / count,
      complete = count === this.testImages.length;
    this.evaluation = { accuracy, count, complete };
    drawEdits(this);
    if (complete) drawConfusionMatrix(this, predictions, byId('confusion-matrix'));
  }

  // pointer and keyboard ----------------------------------------------------------------------------------------------

  select(layer, channel, row, column) {
    this.selection = { layer, channel, row, column };
    this.selectedWeight = null;
    this.scheduleDraw();
  }
  unpin() {
    this.pinned = false;
  }
  pin() {
    this.pinned = true;
    this.scheduleDraw();
  }
  selectWeight(name, index) {
    this.selectedWeight = { name, index };
    this.pinned = true;
    drawNumber(this);
    this.scheduleSlowPanels();
  }
  selectInputChannel(channel) {
    this.inputChannel = channel;
    this.draw();
  }
  moveSelection(event) {
    const direction = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!direction) return;
    event.preventDefault();
    const { selection } = this,
      column = this.column(selection.layer),
      clampTo = (value, size) => Math.min(size - 1, Math.max(0, value));
    this.pinned = true;
    if (column.hasMaps)
      this.select(
        selection.layer,
        selection.channel,
        clampTo(selection.row + direction[0], column.shape[0]),
        clampTo(selection.column + direction[1], column.shape[1]),
      );
    else
      this.select(
        selection.layer,
        clampTo(selection.channel + direction[0] + direction[1] * STRIP_NUMBERS, this.network.tensors[selection.layer].size),
        0,
        0,
      );
  }

  // Redraw the selected number in the next frame.
  scheduleDraw() {
    this.drawRequest ||= requestAnimationFrame(() => {
      this.drawRequest = 0;
      const previous = this.paintedLayer;
      this.paintedLayer = this.selection.layer;
      for (const layer of new Set([previous, this.selection.layer])) if (layer) this.paintColumn(this.column(layer));
      drawNumber(this);
      this.scheduleSlowPanels();
    });
  }

  // Recompute and rebuild everything after a change of settings.
  rebuild() {
    this.selectedWeight = null;
    this.compute();
    buildPage(this);
  }

  // labels ------------------------------------------------------------------------------------------------------------

  layerTitle(node, facts) {
    const title = this.words.kinds[node.op] ?? node.op.replaceAll('_', ' ');
    return facts.window ? `${title} ${facts.window.join(' × ')}` : title;
  }
  layerSubtitle(node, facts) {
    const shape = facts.shape.join(' × '),
      { field } = facts;
    const hasField = field[0] * field[1] > 1 && facts.shape.length === 3;
    return `${node.name} · ${shape}${hasField ? ` · ${this.words.receptiveFieldOf(field.join(' × '))}` : ''}`;
  }

  // drawing -----------------------------------------------------------------------------------------------------------

  paintColumn(column) {
    const tensor = this.displayedTensor(column.name);
    if (tensor && column.visible) column.draw(tensor, this.settings.scale === 'all' ? this.sharedScale : undefined);
  }

  draw() {
    if (!this.columns) return;
    if (this.settings.scale === 'all')
      this.sharedScale = Math.max(...this.columns.map(column => maxAbs(this.displayedTensor(column.name)?.data ?? [])));
    for (const column of this.columns) this.paintColumn(column);
    this.paintedLayer = this.selection.layer;
    paintPixels(byId('network-input'), this.pixels, this.data.samples.shape);
    byId('layers-about').textContent = this.isBackward ? this.words.layersBackward : this.words.layersForward;
    byId('prediction').replaceChildren(...predictionPanel(this));
    byId('photo-prediction')?.replaceChildren(...(this.sampleIndex === null ? topClasses(this) : []));
    this.drawSamples();
    drawNumber(this);
    this.scheduleSlowPanels();
  }

  // Show the next thumbnails beside the drawing pad.
  nextSamples() {
    this.firstSample = (this.firstSample + MAX_SAMPLE_THUMBNAILS) % Math.max(1, this.data.samples.count);
    this.drawSamples();
  }
  drawSamples() {
    const { count } = this.data.samples,
      shownCount = Math.min(MAX_SAMPLE_THUMBNAILS, count);
    const indices = Array.from({ length: shownCount }, (_, k) => (this.firstSample + k) % count);
    const shown = [...byId('samples').children].map(button => Number(button.dataset.sample));
    if (String(shown) !== String(indices) || byId('samples').lang !== this.settings.language)
      byId('samples').replaceChildren(...indices.map(k => thumbnail(this, k)));
    byId('samples').lang = this.settings.language;
    for (const button of document.querySelectorAll('[data-sample]'))
      button.setAttribute('aria-pressed', Number(button.dataset.sample) === this.sampleIndex);
  }

  // Draw the panels that may take longer than a frame once nothing has changed for IDLE_MS.
  scheduleSlowPanels() {
    clearTimeout(this.slowPanelsTimer);
    this.slowPanelsTimer = setTimeout(() => {
      drawFilter(this);
      showCam(this);
      drawEdits(this);
      if (this.isBackward && this.computes) drawGradientSource(this);
      writeUrl(this);
    }, IDLE_MS);
  }
}

if (globalThis.document) {
  globalThis.byhand = new Page(JSON.parse(byId('data').textContent)); // in the console: byhand.network.tensors
  globalThis.byhand.start();
} else serveWorker();
