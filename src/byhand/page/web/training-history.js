// The training history: a slider over the snapshots of a run, and the curves of loss and accuracy.

import { element } from './dom.js';
import { grouped, percent } from './paint.js';

const WIDTH = 320,
  HEIGHT = 140,
  ROOM = { left: 48, right: 8, top: 8, bottom: 20 };

export class Epochs {
  constructor(page, place) {
    const { words, given } = page,
      last = given.snapshots.length;
    Object.assign(this, { page });
    this.slider = element('input', {
      type: 'range',
      min: 0,
      max: last,
      value: page.snapshot,
      step: 1,
      'aria-label': words.epoch,
      oninput: () => page.goTo(Number(this.slider.value)),
    });
    this.text = element('output', { className: 'about' });
    this.charts = ['loss', 'accuracy'].map(name => this.chart(name)).filter(Boolean);
    place.replaceChildren(
      element('h2', {}, words.trainingTitle),
      element('p', { className: 'about' }, last ? words.trainingAbout : words.noSnapshots),
      ...(last ? [element('div', { className: 'slider' }, this.slider, this.text)] : []),
      element('div', { className: 'charts' }, ...this.charts.map(chart => chart.box)),
    );
    this.show();
  }

  step(k) {
    return this.page.given.snapshots[k] ?? this.page.given.end;
  }

  show() {
    const { page } = this,
      { words } = page,
      at = this.step(page.snapshot);
    this.slider.value = page.snapshot;
    if (!at) return;
    const accuracy = at.accuracy === null || at.accuracy === undefined ? '' : `, ${percent(at.accuracy)} ${words.right}`;
    this.text.textContent =
      page.snapshot === page.given.snapshots.length
        ? `${words.end}${accuracy}`
        : words.after(grouped(at.step), at.epoch.toFixed(2)) + accuracy;
    this.slider.setAttribute('aria-valuetext', this.text.textContent);
    for (const { mark, x } of this.charts) {
      mark.setAttribute('x1', x(at.epoch));
      mark.setAttribute('x2', x(at.epoch));
    }
  }

  chart(name) {
    // one of loss and accuracy, through the epochs
    const { words, given } = this.page,
      column = name === 'loss' ? 1 : 2;
    const lines = [[words.training, 'plus', given.curve.map(point => [point[0], point[column]])]];
    const part = given.history.some(row => `val_${name}` in row) ? 'val' : 'test';
    if (given.history.some(row => `${part}_${name}` in row)) {
      lines.push([words[part], 'minus', given.history.map(row => [row.epoch, row[`${part}_${name}`]])]);
    }
    const points = lines.flatMap(([, , line]) => line);
    if (lines[0][2].length < 2 && points.length < 3) return null;
    const svg = (tag, attributes, text) => {
      const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      if (text !== undefined) made.textContent = text;
      return made;
    };
    const end = Math.max(...points.map(([x]) => x), 1e-9),
      values = points.map(([, y]) => y).sort((a, b) => a - b);
    const high = name === 'loss' ? values[Math.floor(values.length * 0.98)] * 1.05 : 1,
      low = name === 'loss' ? 0 : Math.min(...values, 0.9);
    const x = at => ROOM.left + (at / end) * (WIDTH - ROOM.left - ROOM.right);
    const y = value => ROOM.top + (1 - (Math.min(value, high) - low) / (high - low || 1)) * (HEIGHT - ROOM.top - ROOM.bottom);
    const box = svg('svg', {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: 'img',
      'aria-label': `${words[name]}: ${lines.map(([text]) => text).join(', ')}`,
    });
    for (const value of [low, (low + high) / 2, high]) {
      box.append(
        svg('line', { x1: ROOM.left, x2: WIDTH - ROOM.right, y1: y(value), y2: y(value), class: 'grid-line' }),
        svg(
          'text',
          { x: ROOM.left - 6, y: y(value) + 4, 'text-anchor': 'end' },
          name === 'loss' ? value.toPrecision(2) : `${(100 * value).toFixed(0)} %`,
        ),
      );
    }
    for (const epoch of [0, end])
      box.append(
        svg(
          'text',
          { x: x(epoch), y: HEIGHT - 4, 'text-anchor': epoch ? 'end' : 'start' },
          epoch ? `${words.epoch} ${Number(epoch.toFixed(2))}` : '0',
        ),
      );
    for (const [, sign, line] of lines)
      box.append(
        svg('path', {
          class: sign,
          d: line.map(([at, value], k) => `${k ? 'L' : 'M'}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join(''),
        }),
      );
    const mark = svg('line', { y1: ROOM.top, y2: HEIGHT - ROOM.bottom, class: 'mark' });
    box.append(mark);
    const keys = lines.map(([text, sign]) => element('span', { className: `key ${sign}` }, text));
    return { mark, x, box: element('figure', {}, element('figcaption', {}, words[name], ' ', ...keys), box) };
  }
}
