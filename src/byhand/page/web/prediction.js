// The prediction: logits, softmax and cross-entropy loss, in numbers.

import { element, top } from './dom.js';
import { digits, percent } from './paint.js';

const MAX_CLASSES = 12; // shown in the table

function softmax(logits) {
  const max = Math.max(...logits),
    exps = Array.from(logits, value => Math.exp(value - max)),
    sum = exps.reduce((a, b) => a + b, 0);
  return { max, exps, sum, probabilities: exps.map(value => value / sum) };
}

export function answer(page) {
  const { words, given } = page,
    { classes } = given,
    logits = page.network.logits.data,
    predicted = top(logits);
  const { max, exps, sum, probabilities } = softmax(logits),
    truth = page.label;
  let shown = classes.map((_, k) => k);
  if (classes.length > MAX_CLASSES) shown = shown.sort((a, b) => logits[b] - logits[a]).slice(0, MAX_CLASSES);
  if (truth !== null && !shown.includes(truth)) shown.push(truth);
  const head = element(
    'tr',
    {},
    ...[words.class, words.logit, words.exp, words.probability].map((text, n) =>
      element('th', { scope: 'col', className: n ? '' : 'first' }, text),
    ),
  );
  const rows = shown.map(k =>
    element(
      'tr',
      { className: k === predicted ? 'top' : '' },
      element(
        'th',
        { scope: 'row', title: classes[k] },
        classes[k],
        k === truth ? element('span', { className: 'truth', title: words.truth }, ' ✓') : null,
      ),
      element('td', {}, digits(logits[k])),
      element('td', {}, digits(exps[k], 3)),
      element('td', { className: 'bar', style: `--part: ${(100 * probabilities[k]).toFixed(2)}%` }, percent(probabilities[k])),
    ),
  );
  const table = element('table', { className: 'answer' }, element('thead', {}, head), element('tbody', {}, ...rows));
  const formula = element('p', { className: 'about formula' }, words.softmaxIs(digits(max), digits(sum, 3)));
  const choose = element(
    'select',
    {
      'aria-label': words.truth,
      onchange: event => page.assumeLabel(event.target.value === '' ? null : Number(event.target.value)),
    },
    element('option', { value: '' }, words.unknown),
    ...classes.map((name, k) => element('option', { value: String(k), selected: k === truth }, name)),
  );
  const lossClass = page.computes ? page.lossClass : predicted,
    loss = -Math.log(probabilities[lossClass]);
  const line = element(
    'p',
    { className: 'loss' },
    words.lossIs,
    ' = −ln ',
    digits(probabilities[lossClass], 4),
    ' = ',
    element('b', {}, digits(loss, 4)),
  );
  return [
    element('p', { className: 'prediction' }, element('b', {}, classes[predicted]), ` ${percent(probabilities[predicted])}`),
    table,
    formula,
    page.computes ? element('label', { className: 'row' }, words.truth, choose) : null,
    line,
  ].filter(Boolean);
}

export function bars(page) {
  // the classifier's own answer: names and bars
  const { classes } = page.given,
    { probabilities } = softmax(page.network.logits.data);
  const order = classes
    .map((_, k) => k)
    .sort((a, b) => probabilities[b] - probabilities[a])
    .slice(0, 5);
  return order.map((k, n) =>
    element(
      'li',
      { className: n ? '' : 'top' },
      element('span', {}, classes[k]),
      element(
        'span',
        { className: 'bar', style: `--part: ${(100 * probabilities[k]).toFixed(2)}%` },
        percent(probabilities[k]),
      ),
    ),
  );
}
