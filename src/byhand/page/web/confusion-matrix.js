// The confusion matrix: a click on a cell lists its images, a click on an image opens it in the layer view.

import { button, element } from './dom.js';
import { cssColor, formatInteger, paintPixels, formatPercent } from './paint.js';

const TABLE_MAX_CLASSES = 20; // with more classes, the most frequent mistakes are listed instead
export const MAX_SAMPLE_THUMBNAILS = 18; // beside the drawing pad
const ROW_MAX_LETTERS = 24; // of a class's name beside its row
const HEAD_MAX_LETTERS = 60; // of all names above the columns together
const COLUMN_MIN_LETTERS = 6;
const MAX_CELL_IMAGES = 60; // of one cell

export function drawConfusionMatrix(page, predictions, container) {
  const { words, data } = page,
    { classes } = data,
    { testLabels } = page,
    count = classes.length;
  const cells = new Map(),
    { accuracy, count: evaluatedCount } = page.evaluation;
  predictions.forEach((prediction, k) => {
    const key = `${testLabels[k]} ${prediction}`;
    (cells.get(key) ?? cells.set(key, []).get(key)).push(k);
  });
  const openCell = (truth, predicted) =>
    showCellImages(
      page,
      cells.get(`${truth} ${predicted}`) ?? [],
      container.querySelector('.gallery'),
      words.predictedAs(classes[truth], classes[predicted]),
    );
  const mistakes = [...cells]
    .map(([key, images]) => [...key.split(' ').map(Number), images.length])
    .filter(([truth, predicted]) => truth !== predicted)
    .sort((a, b) => b[2] - a[2]);
  const cellName = (truth, predicted, images) => `${words.predictedAs(classes[truth], classes[predicted])}: ${images}`;
  let body;
  if (count <= TABLE_MAX_CLASSES) {
    const maxCount = Math.max(1, ...mistakes.map(mistake => mistake[2]));
    const columnLetters = Math.max(COLUMN_MIN_LETTERS, Math.floor(HEAD_MAX_LETTERS / count));
    const head = element(
      'tr',
      {},
      element('td', {}),
      ...classes.map(text => element('th', { scope: 'col', title: text }, truncate(text, columnLetters))),
    );
    const rows = classes.map((text, truth) =>
      element(
        'tr',
        {},
        element('th', { scope: 'row', title: text }, truncate(text, ROW_MAX_LETTERS)),
        ...classes.map((_, predicted) => {
          const images = cells.get(`${truth} ${predicted}`)?.length ?? 0;
          if (!images) return element('td', {});
          const style = truth === predicted ? '' : `background: ${cssColor(-images, maxCount)}`;
          return element(
            'td',
            { style },
            element(
              'button',
              {
                type: 'button',
                className: truth === predicted ? 'diagonal' : '',
                'aria-label': cellName(truth, predicted, images),
                onclick: () => openCell(truth, predicted),
              },
              String(images),
            ),
          );
        }),
      ),
    );
    body = element(
      'div',
      { className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': words.confusion },
      element('table', { className: 'confusion-matrix' }, element('thead', {}, head), element('tbody', {}, ...rows)),
    );
  } else {
    body = element(
      'ul',
      { className: 'mistakes' },
      ...mistakes.slice(0, 12).map(([truth, predicted, images]) =>
        element(
          'li',
          {},
          button(cellName(truth, predicted, images), () => openCell(truth, predicted)),
        ),
      ),
    );
  }
  container.replaceChildren(
    element('h2', {}, words.confusion),
    element('p', { className: 'about' }, words.confusionAbout(formatPercent(accuracy), formatInteger(evaluatedCount))),
    element('div', { className: 'side-by-side' }, body, element('div', { className: 'gallery' })),
  );
}

const truncate = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

function showCellImages(page, images, container, title) {
  const { words } = page;
  container.replaceChildren(
    element('h3', {}, `${title}: ${images.length}`),
    element(
      'div',
      { className: 'samples' },
      ...images.slice(0, MAX_CELL_IMAGES).map(k => thumbnail(page, page.data.samples.firstTest + k)),
    ),
    images.length > MAX_CELL_IMAGES ? element('p', { className: 'about' }, words.more(images.length - MAX_CELL_IMAGES)) : '',
  );
}

// A button with sample k, which opens it in the layer view.
export function thumbnail(page, k) {
  const { data, words } = page,
    { labels, shape } = data.samples,
    canvas = element('canvas');
  paintPixels(canvas, page.samples[k], shape, data.inverted);
  const name = labels[k] === null ? words.sampleName(k) : `${words.sampleName(k)}: ${data.classes[labels[k]]}`;
  return element(
    'button',
    {
      type: 'button',
      title: name,
      'aria-label': name,
      'aria-pressed': page.sampleIndex === k,
      'data-sample': k,
      onclick: () => page.showSample(k, true),
    },
    canvas,
  );
}
