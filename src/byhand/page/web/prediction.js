// The prediction panel: logits, their softmax or sigmoids, and the cross-entropy loss.

import { element, argmax } from './dom.js';
import { formatNumber, formatPercent } from './paint.js';

const MAX_CLASSES = 12; // rows of the table
const LABEL_THRESHOLD = 0.5; // of the probability of a label that counts as true

function softmax(logits) {
  const max = Math.max(...logits),
    exps = Array.from(logits, value => Math.exp(value - max)),
    sum = exps.reduce((a, b) => a + b, 0);
  return { max, exps, sum, probabilities: exps.map(value => value / sum) };
}

// Probabilities of labels, each by itself.
function sigmoids(logits) {
  return Array.from(logits, value => 1 / (1 + Math.exp(-value)));
}

// Return the cross-entropy where one label alone is true: the mean of −ln p of it, and of −ln(1 − p) of the others.
function labelsLoss(logits, label) {
  const terms = Array.from(logits, (z, k) => Math.max(k === label ? -z : z, 0) + Math.log1p(Math.exp(-Math.abs(z))));
  return terms.reduce((a, b) => a + b, 0) / terms.length;
}

function labelsPanel(page) {
  const { words, data } = page,
    { classes } = data,
    logits = page.network.logits.data,
    probabilities = sigmoids(logits),
    order = classes.map((_, k) => k).sort((a, b) => logits[b] - logits[a]),
    found = order.filter(k => probabilities[k] >= LABEL_THRESHOLD);
  const shown = classes.length > MAX_CLASSES ? order.slice(0, MAX_CLASSES) : classes.map((_, k) => k);
  const head = element(
    'tr',
    {},
    ...[words.label, words.logit, 'sigmoid'].map((text, n) =>
      element('th', { scope: 'col', className: n ? '' : 'first' }, text),
    ),
  );
  const rows = shown.map(k =>
    element(
      'tr',
      { className: found.includes(k) ? 'predicted' : '' },
      element('th', { scope: 'row', title: classes[k] }, classes[k]),
      element('td', {}, formatNumber(logits[k])),
      probabilityCell(probabilities[k]),
    ),
  );
  const title = found.map(k => `${classes[k]} ${formatPercent(probabilities[k])}`).join(', ') || words.noLabel;
  return [
    element('p', { className: 'predicted-class' }, element('b', {}, title)),
    element('table', { className: 'scores' }, element('thead', {}, head), element('tbody', {}, ...rows)),
    element('p', { className: 'about formula' }, words.sigmoidFormula),
    page.computes
      ? element(
          'p',
          { className: 'loss' },
          words.labelsLoss(classes[page.lossClass]),
          ' = ',
          element('b', {}, formatNumber(labelsLoss(logits, page.lossClass), 4)),
        )
      : null,
  ].filter(Boolean);
}

function probabilityCell(probability) {
  return element(
    'td',
    { className: 'bar', style: `--fraction: ${(100 * probability).toFixed(2)}%` },
    formatPercent(probability),
  );
}

export function predictionPanel(page) {
  if (page.data.task === 'labels') return labelsPanel(page);
  const { words, data } = page,
    { classes } = data,
    logits = page.network.logits.data,
    predicted = argmax(logits);
  const { max, exps, sum, probabilities } = softmax(logits),
    label = page.label;
  let shownClasses = classes.map((_, k) => k);
  if (classes.length > MAX_CLASSES) shownClasses = shownClasses.sort((a, b) => logits[b] - logits[a]).slice(0, MAX_CLASSES);
  if (label !== null && !shownClasses.includes(label)) shownClasses.push(label);
  const head = element(
    'tr',
    {},
    ...[words.class, words.logit, words.exp, words.probability].map((text, n) =>
      element('th', { scope: 'col', className: n ? '' : 'first' }, text),
    ),
  );
  const rows = shownClasses.map(k =>
    element(
      'tr',
      { className: k === predicted ? 'predicted' : '' },
      element(
        'th',
        { scope: 'row', title: classes[k] },
        classes[k],
        k === label ? element('span', { className: 'true-class', title: words.trueClass }, ' ✓') : null,
      ),
      element('td', {}, formatNumber(logits[k])),
      element('td', {}, formatNumber(exps[k], 3)),
      probabilityCell(probabilities[k]),
    ),
  );
  const table = element('table', { className: 'scores' }, element('thead', {}, head), element('tbody', {}, ...rows));
  const formula = element('p', { className: 'about formula' }, words.softmaxFormula(formatNumber(max), formatNumber(sum, 3)));
  const labelSelect = element(
    'select',
    {
      'aria-label': words.trueClass,
      onchange: event => page.assumeLabel(event.target.value === '' ? null : Number(event.target.value)),
    },
    element('option', { value: '' }, words.unknown),
    ...classes.map((name, k) => element('option', { value: String(k), selected: k === label }, name)),
  );
  const lossClass = page.computes ? page.lossClass : predicted,
    loss = -Math.log(probabilities[lossClass]);
  const lossLine = element(
    'p',
    { className: 'loss' },
    words.loss,
    ' = −ln ',
    formatNumber(probabilities[lossClass], 4),
    ' = ',
    element('b', {}, formatNumber(loss, 4)),
  );
  return [
    element(
      'p',
      { className: 'predicted-class' },
      element('b', {}, classes[predicted]),
      ` ${formatPercent(probabilities[predicted])}`,
    ),
    table,
    formula,
    page.computes ? element('label', { className: 'row' }, words.trueClass, labelSelect) : null,
    lossLine,
  ].filter(Boolean);
}

// The five most probable classes, as bars.
export function topClasses(page) {
  const { classes, task } = page.data,
    logits = page.network.logits.data,
    probabilities = task === 'labels' ? sigmoids(logits) : softmax(logits).probabilities;
  const order = classes
    .map((_, k) => k)
    .sort((a, b) => probabilities[b] - probabilities[a])
    .slice(0, 5);
  return order.map((k, n) =>
    element(
      'li',
      { className: n ? '' : 'predicted' },
      element('span', {}, classes[k]),
      element(
        'span',
        { className: 'bar', style: `--fraction: ${(100 * probabilities[k]).toFixed(2)}%` },
        formatPercent(probabilities[k]),
      ),
    ),
  );
}
