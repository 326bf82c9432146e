// The confusion matrix: its cells open their images, an image opens in the layer view.

import { button, element } from './dom.js';
import { color, grouped, paintPixels, percent } from './paint.js';

const TABLE_MAX_CLASSES = 20; // with more classes, the commonest mistakes are listed instead
export const SAMPLES = 18; // thumbnails beside the drawing pad
const ROW_MAX_LETTERS = 24; // of a class's name in front of its row
const HEAD_MAX_LETTERS = 60; // of all names above the columns, which share the width
const COLUMN_MIN_LETTERS = 6;
const MAX_CELL_IMAGES = 60; // of a cell of the confusion matrix that are shown

export function matrix(page, predictions, place) {
  const { words, given } = page,
    { classes } = given,
    { truths } = page,
    count = classes.length;
  const cells = new Map(),
    { right, count: size } = page.verdict;
  predictions.forEach((prediction, k) => {
    const key = `${truths[k]} ${prediction}`;
    (cells.get(key) ?? cells.set(key, []).get(key)).push(k);
  });
  const open = (truth, taken) =>
    gallery(
      page,
      cells.get(`${truth} ${taken}`) ?? [],
      place.querySelector('.gallery'),
      words.takenFor(classes[truth], classes[taken]),
    );
  const mistakes = [...cells]
    .map(([key, images]) => [...key.split(' ').map(Number), images.length])
    .filter(([truth, taken]) => truth !== taken)
    .sort((a, b) => b[2] - a[2]);
  const name = (truth, taken, images) => `${words.takenFor(classes[truth], classes[taken])}: ${images}`;
  let body;
  if (count <= TABLE_MAX_CLASSES) {
    const maxCount = Math.max(1, ...mistakes.map(mistake => mistake[2]));
    const columnLetters = Math.max(COLUMN_MIN_LETTERS, Math.floor(HEAD_MAX_LETTERS / count));
    const head = element(
      'tr',
      {},
      element('td', {}),
      ...classes.map(text => element('th', { scope: 'col', title: text }, short(text, columnLetters))),
    );
    const rows = classes.map((text, truth) =>
      element(
        'tr',
        {},
        element('th', { scope: 'row', title: text }, short(text, ROW_MAX_LETTERS)),
        ...classes.map((_, taken) => {
          const images = cells.get(`${truth} ${taken}`)?.length ?? 0;
          if (!images) return element('td', {});
          const style = truth === taken ? '' : `background: ${color(-images, maxCount)}`;
          return element(
            'td',
            { style },
            element(
              'button',
              {
                type: 'button',
                className: truth === taken ? 'own' : '',
                'aria-label': name(truth, taken, images),
                onclick: () => open(truth, taken),
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
      element('table', { className: 'matrix' }, element('thead', {}, head), element('tbody', {}, ...rows)),
    );
  } else {
    body = element(
      'ul',
      { className: 'mistakes' },
      ...mistakes.slice(0, 12).map(([truth, taken, images]) =>
        element(
          'li',
          {},
          button(name(truth, taken, images), () => open(truth, taken)),
        ),
      ),
    );
  }
  place.replaceChildren(
    element('h2', {}, words.confusion),
    element('p', { className: 'about' }, words.confusionAbout(percent(right), grouped(size))),
    element('div', { className: 'beside' }, body, element('div', { className: 'gallery' })),
  );
}

const short = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

function gallery(page, images, place, title) {
  const { words } = page;
  place.replaceChildren(
    element('h3', {}, `${title}: ${images.length}`),
    element(
      'div',
      { className: 'samples' },
      ...images.slice(0, MAX_CELL_IMAGES).map(k => thumbnail(page, page.given.samples.first + k)),
    ),
    images.length > MAX_CELL_IMAGES ? element('p', { className: 'about' }, words.more(images.length - MAX_CELL_IMAGES)) : '',
  );
}

export function thumbnail(page, k) {
  // a test image that opens in the layer view
  const { given, words } = page,
    { labels, shape } = given.samples,
    canvas = element('canvas');
  paintPixels(canvas, page.samples[k], shape, given.ink);
  const name = labels[k] === null ? words.image(k) : `${words.image(k)}: ${given.classes[labels[k]]}`;
  return element(
    'button',
    {
      type: 'button',
      title: name,
      'aria-label': name,
      'aria-pressed': page.image === k,
      'data-image': k,
      onclick: () => page.take(k, true),
    },
    canvas,
  );
}
