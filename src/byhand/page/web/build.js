// Builds all elements that contain text or colors; runs again when a setting changes.

import { element, byId } from './dom.js';
import { TrainingHistory } from './training-history.js';
import { LayerColumn } from './layer-columns.js';
import { updatePalette, formatInteger } from './paint.js';
import { drawEdits } from './panels.js';
import { MAX_SAMPLE_THUMBNAILS } from './confusion-matrix.js';
import { ConvolutionSteps } from './convolution-steps.js';

// These ops change no value, so they get no column.
const SHAPE_ONLY_OPS = new Set(['flatten', 'reshape', 'transpose', 'squeeze', 'unsqueeze', 'identity']);

export function buildPage(page) {
  const { words, data, settings, computes } = page,
    root = document.documentElement;
  root.lang = settings.language === 'zh' ? 'zh-CN' : 'en';
  root.dataset.theme = settings.theme;
  updatePalette();
  for (const label of document.querySelectorAll('[data-word]')) label.textContent = words[label.dataset.word];
  for (const control of document.querySelectorAll('[data-label]'))
    control.setAttribute('aria-label', words[control.dataset.label]);
  for (const group of document.querySelectorAll('.choice'))
    for (const button of group.children) button.setAttribute('aria-pressed', settings[group.dataset.setting] === button.value);
  const { facts, normalization } = data,
    formatList = value =>
      [value]
        .flat()
        .map(number => Number(number.toFixed(4)))
        .join(', ');
  const fact = (value, name) => element('div', {}, element('dd', {}, value), element('dt', {}, name));
  byId('facts').replaceChildren(
    fact(`${data.samples.shape.join(' × ')} → ${data.classes.length}`, ''),
    fact(formatInteger(facts.parameters), words.parameters),
    fact(formatInteger(facts.macs), words.macs),
    fact(facts.field, words.receptiveField),
    fact(words.layers(facts.layers), ''),
  );
  const notes = [
    data.recorded ? words.recordedNote : '',
    data.untrained ? words.untrainedNote : '',
    data.half ? words.float16Note : '',
    data.live ? words.liveNote : '',
  ].filter(Boolean);
  byId('notes').textContent = notes.join(' · ');
  byId('notes').hidden = !notes.length;
  byId('drawing-pad-title').textContent = page.inverted ? words.drawHere : words.imageTitle;
  byId('network-input-about').textContent =
    `${data.samples.shape.join(' × ')}, ${words.normalization(formatList(normalization.mean), formatList(normalization.std))}`;
  byId('samples-title').textContent = computes ? words.samples : words.recordedSamples;
  byId('center-label').hidden = !page.inverted;
  byId('ink-label').hidden = page.inverted;
  byId('reload').hidden = !data.live;
  byId('drawing-pad-section').hidden = !computes;
  byId('more-samples').hidden = data.samples.count <= MAX_SAMPLE_THUMBNAILS;
  page.columns = data.spec.nodes
    .filter(node => !SHAPE_ONLY_OPS.has(node.op) && page.network.tensors[node.output] && data.layerFacts[node.name])
    .map(node => new LayerColumn(page, node, data.layerFacts[node.name]));
  if (!page.column(page.selection.layer)) page.selection.layer = page.columns[0].name;
  const start = page.column(page.selection.layer);
  // Select a map that is shown.
  if (!page.ready && !page.pinned && start.hasMaps) [page.selection.channel] = start.shownChannels();
  byId('layers').replaceChildren(...page.columns.map(column => column.element));
  byId('glossary').replaceChildren(
    ...words.glossary.flatMap(([symbol, phrase]) => [element('dt', {}, symbol), element('dd', {}, phrase)]),
  );
  for (const id of ['training', 'edits', 'convolution-steps']) byId(id).hidden = !computes;
  if (computes) {
    if (data.snapshots.length || data.curve.length) page.trainingHistory = new TrainingHistory(page, byId('training'));
    else byId('training').hidden = true;
    if (page.convolutionSteps?.timer) page.convolutionSteps.play();
    page.convolutionSteps = new ConvolutionSteps(page, byId('convolution-steps'));
  }
  byId('confusion-matrix').hidden = !data.samples.tested;
  if (data.samples.tested) {
    if (page.edits.modified) drawEdits(page);
    else page.reevaluate();
  }
  page.draw();
}
