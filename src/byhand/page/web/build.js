// Builds all elements that contain text; runs again when the language or the theme changes.

import { element, find } from './dom.js';
import { Epochs } from './training-history.js';
import { Column } from './layer-columns.js';
import { freshPalette, grouped } from './paint.js';
import { drawEdits } from './panels.js';
import { SAMPLES } from './confusion-matrix.js';
import { Steps } from './convolution-steps.js';

const QUIET = new Set(['flatten', 'reshape', 'transpose', 'squeeze', 'unsqueeze', 'identity']); // change no number

export function build(page) {
  // everything that has words
  const { words, given, settings, computes } = page,
    root = document.documentElement;
  root.lang = settings.language === 'zh' ? 'zh-CN' : 'en';
  root.dataset.theme = settings.theme;
  freshPalette();
  for (const label of document.querySelectorAll('[data-word]')) label.textContent = words[label.dataset.word];
  for (const control of document.querySelectorAll('[data-label]'))
    control.setAttribute('aria-label', words[control.dataset.label]);
  for (const group of document.querySelectorAll('.choice'))
    for (const button of group.children) button.setAttribute('aria-pressed', settings[group.dataset.of] === button.value);
  const { facts, scale } = given,
    spelled = value =>
      [value]
        .flat()
        .map(number => Number(number.toFixed(4)))
        .join(', ');
  const fact = (value, name) => element('div', {}, element('dd', {}, value), element('dt', {}, name));
  find('facts').replaceChildren(
    fact(`${given.samples.shape.join(' × ')} → ${given.classes.length}`, ''),
    fact(grouped(facts.parameters), words.parameters),
    fact(grouped(facts.macs), words.macs),
    fact(facts.field, words.field),
    fact(words.layers(facts.layers), ''),
  );
  const notes = [
    given.recorded ? words.recorded : '',
    given.untrained ? words.untrained : '',
    given.half ? words.rounded : '',
    given.live ? words.live : '',
  ].filter(Boolean);
  find('notes').textContent = notes.join(' · ');
  find('notes').hidden = !notes.length;
  find('board-title').textContent = page.ink ? words.drawHere : words.sampleHere;
  find('seen-about').textContent =
    `${given.samples.shape.join(' × ')}, ${words.pixelsAre(spelled(scale.mean), spelled(scale.std))}`;
  find('samples-title').textContent = computes ? words.samples : words.recordedSamples;
  find('center-label').hidden = !page.ink;
  find('ink-label').hidden = page.ink;
  find('reload').hidden = !given.live;
  find('board-section').hidden = !computes;
  find('others').hidden = given.samples.count <= SAMPLES;
  page.columns = given.spec.nodes
    .filter(node => !QUIET.has(node.op) && page.network.tensors[node.output] && given.rows[node.name])
    .map(node => new Column(page, node, given.rows[node.name]));
  if (!page.column(page.at.layer)) page.at.layer = page.columns[0].name;
  const start = page.column(page.at.layer);
  if (!page.ready && !page.held && start.maps) [page.at.channel] = start.order(); // a map that is shown
  find('layers').replaceChildren(...page.columns.map(column => column.box));
  find('glossary').replaceChildren(
    ...words.glossary.flatMap(([symbol, phrase]) => [element('dt', {}, symbol), element('dd', {}, phrase)]),
  );
  for (const id of ['training', 'edits', 'steps']) find(id).hidden = !computes;
  if (computes) {
    if (given.snapshots.length || given.curve.length) page.epochs = new Epochs(page, find('training'));
    else find('training').hidden = true;
    if (page.steps?.timer) page.steps.play();
    page.steps = new Steps(page, find('steps'));
  }
  find('matrix').hidden = !given.samples.tested;
  if (given.samples.tested) {
    if (page.edits.touched) drawEdits(page);
    else page.reevaluate();
  }
  page.draw();
}
