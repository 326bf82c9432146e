// The training history: a slider over the snapshots of a run, and the curves of loss and accuracy.

import { element } from './dom.js';
import { formatInteger, formatPercent } from './paint.js';

const WIDTH = 320,
  HEIGHT = 140,
  MARGIN = { left: 48, right: 8, top: 8, bottom: 20 };

export class TrainingHistory {
  constructor(page, container) {
    const { words, data } = page,
      last = data.snapshots.length;
    Object.assign(this, { page });
    this.slider = element('input', {
      type: 'range',
      min: 0,
      max: last,
      value: page.snapshot,
      step: 1,
      'aria-label': words.epoch,
      oninput: () => page.showSnapshot(Number(this.slider.value)),
    });
    this.text = element('output', { className: 'about' });
    this.charts = ['loss', 'accuracy'].map(name => this.chart(name)).filter(Boolean);
    container.replaceChildren(
      element('h2', {}, words.trainingTitle),
      element('p', { className: 'about' }, last ? words.trainingAbout : words.noSnapshots),
      ...(last ? [element('div', { className: 'slider' }, this.slider, this.text)] : []),
      element('div', { className: 'charts' }, ...this.charts.map(chart => chart.box)),
    );
    this.show();
  }

  snapshotAt(k) {
    return this.page.data.snapshots[k] ?? this.page.data.end;
  }

  show() {
    const { page } = this,
      { words } = page,
      snapshot = this.snapshotAt(page.snapshot);
    this.slider.value = page.snapshot;
    if (!snapshot) return;
    const accuracy =
      snapshot.accuracy === null || snapshot.accuracy === undefined
        ? ''
        : `, ${formatPercent(snapshot.accuracy)} ${words.correct}`;
    this.text.textContent =
      page.snapshot === page.data.snapshots.length
        ? `${words.atEnd}${accuracy}`
        : words.atStep(formatInteger(snapshot.step), snapshot.epoch.toFixed(2)) + accuracy;
    this.slider.setAttribute('aria-valuetext', this.text.textContent);
    for (const { mark, x } of this.charts) {
      mark.setAttribute('x1', x(snapshot.epoch));
      mark.setAttribute('x2', x(snapshot.epoch));
    }
  }

  // The curve of the loss or the accuracy over the epochs; null for fewer than three points.
  chart(name) {
    const { words, data } = this.page,
      column = name === 'loss' ? 1 : 2;
    const lines = [[words.training, 'plus', data.curve.map(point => [point[0], point[column]])]];
    const split = data.history.some(row => `val_${name}` in row) ? 'val' : 'test';
    if (data.history.some(row => `${split}_${name}` in row)) {
      lines.push([words[split], 'minus', data.history.map(row => [row.epoch, row[`${split}_${name}`]])]);
    }
    const points = lines.flatMap(([, , line]) => line);
    if (lines[0][2].length < 2 && points.length < 3) return null;
    const svg = (tag, attributes, text) => {
      const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      if (text !== undefined) node.textContent = text;
      return node;
    };
    const end = Math.max(...points.map(([x]) => x), 1e-9),
      values = points.map(([, y]) => y).sort((a, b) => a - b);
    const high = name === 'loss' ? values[Math.floor(values.length * 0.98)] * 1.05 : 1,
      low = name === 'loss' ? 0 : Math.min(...values, 0.9);
    const x = epoch => MARGIN.left + (epoch / end) * (WIDTH - MARGIN.left - MARGIN.right);
    const y = value =>
      MARGIN.top + (1 - (Math.min(value, high) - low) / (high - low || 1)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    const box = svg('svg', {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: 'img',
      'aria-label': `${words[name]}: ${lines.map(([text]) => text).join(', ')}`,
    });
    for (const value of [low, (low + high) / 2, high]) {
      box.append(
        svg('line', { x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: y(value), y2: y(value), class: 'grid-line' }),
        svg(
          'text',
          { x: MARGIN.left - 6, y: y(value) + 4, 'text-anchor': 'end' },
          name === 'loss' ? value.toPrecision(2) : `${(100 * value).toFixed(0)}%`,
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
    for (const [, className, line] of lines)
      box.append(
        svg('path', {
          class: className,
          d: line.map(([epoch, value], k) => `${k ? 'L' : 'M'}${x(epoch).toFixed(1)} ${y(value).toFixed(1)}`).join(''),
        }),
      );
    const mark = svg('line', { y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, class: 'mark' });
    box.append(mark);
    const keys = lines.map(([text, className]) => element('span', { className: `legend ${className}` }, text));
    return { mark, x, box: element('figure', {}, element('figcaption', {}, words[name], ' ', ...keys), box) };
  }
}
