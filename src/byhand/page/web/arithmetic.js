// The arithmetic of one number as a figure: patch x kernel = products -> sum, the maximum of a window, a list of terms, or f(x).

import { clampIndex, element, labeled, sign } from './dom.js';
import { color, digits, largest } from './paint.js';

// Small numbers share a power of ten, which their label tells.
function powerOf(rows) {
  const most = largest(rows.flat());
  return most === 0 || most >= 0.05 ? 0 : Math.floor(Math.log10(most));
}
const raised = power => [...String(power)].map(character => '⁰¹²³⁴⁵⁶⁷⁸⁹'[character] ?? '⁻').join('');
const fixed = (value, places) => (Math.abs(value) < 0.5 * 10 ** -places ? (0).toFixed(places) : digits(value, places));

// A grid of numbers under which its label stands, with colors that say how large they are; null: outside the image.
// edit(row, column, value): they can be changed; choose(row, column): one can be picked, and `chosen` is.
export function grid(rows, label, { best = null, scale, places = 2, edit = null, choose = null } = {}) {
  scale ??= largest(rows.flat());
  const power = powerOf(rows),
    shown = value => (edit && power ? digits(value, places) : fixed(value / 10 ** power, places)),
    small = rows[0].length > 4 || rows.length > 4;
  const cells = element('div', {
    className: `grid${small ? ' small' : ''}`,
    style: `grid-template-columns: repeat(${rows[0].length}, max-content)`,
    role: 'group',
    'aria-label': label,
  });
  rows.forEach((row, i) =>
    row.forEach((value, j) => {
      const style = `background: ${value === null ? 'transparent' : color(value, scale)}`,
        className = best && best[0] === i && best[1] === j ? 'best' : '';
      const text = value === null ? '·' : shown(value),
        about = `${label} ${i}, ${j}`;
      if (edit) cells.append(field(text, value, { style, className, 'aria-label': about }, typed => edit(i, j, typed)));
      else if (choose) {
        const act = () => choose(i, j);
        cells.append(
          element('button', { type: 'button', style, className, 'aria-label': `${about}: ${text}`, onclick: act }, text),
        );
      } else cells.append(element('span', { style, className }, text));
    }),
  );
  return labeled(cells, power && !edit ? `${label} × 10${raised(power)}` : label);
}

function field(text, value, attributes, edit) {
  // a number that shows all its digits while it is typed
  const input = element('input', { type: 'text', inputMode: 'decimal', value: text, ...attributes });
  input.addEventListener('focus', () => {
    input.value = String(Number(value.toPrecision(6)));
    input.select();
  });
  input.addEventListener('blur', () => (input.value = text));
  input.addEventListener('change', () => edit(Number(input.value.replace('−', '-').replace(',', '.'))));
  return input;
}

export const result = (value, text, places = 3) =>
  labeled(element('output', { className: 'result' }, digits(value, places)), text);

// What a window of a node sees of its input: [row, column, inside the image] by row and column of the kernel.
function windowOf({ kernel, stride, padding, dilation = [1, 1] }, [, height, width], row, column) {
  return Array.from({ length: kernel[0] }, (_, r) =>
    Array.from({ length: kernel[1] }, (_, s) => {
      const p = row * stride[0] - padding[0] + r * dilation[0],
        q = column * stride[1] - padding[2] + s * dilation[1];
      return [p, q, p >= 0 && q >= 0 && p < height && q < width];
    }),
  );
}

const read = (x, p, q, c) => x.data[(p * x.shape[2] + q) * x.shape[3] + c];

export function pictureOf(page, node, channel, row, column) {
  return (PICTURES[node.op] ?? elementwise)(page, node, channel, row, column);
}

// The parts of a convolution's sum at one place: the patch and the products of an input channel, and each channel's sum.
function parts(network, node, k, i, j, asked) {
  const [x, weight, bias] = node.reads.slice(0, 3).map(name => network.of(name)),
    [rows, columns, depth, filters] = weight.shape;
  const first = Math.floor(k / (filters / node.attributes.groups)) * depth,
    c = clampIndex(asked, depth);
  const places = windowOf({ ...node.attributes, kernel: [rows, columns] }, x.shape, i, j);
  const at = (r, s, c) => ((r * columns + s) * depth + c) * filters + k;
  const patch = places.map(line => line.map(([p, q, within]) => (within ? read(x, p, q, first + c) : null)));
  const kernel = places.map((line, r) => line.map((_, s) => weight.data[at(r, s, c)]));
  const products = patch.map((line, r) => line.map((value, s) => (value === null ? null : value * kernel[r][s])));
  const sums = Array.from({ length: depth }, (_, c) => {
    let sum = 0;
    places.forEach((line, r) =>
      line.forEach(([p, q, within], s) => {
        if (within) sum += read(x, p, q, first + c) * weight.data[at(r, s, c)];
      }),
    );
    return sum;
  });
  return { x, weight, bias: bias ? bias.data[k] : 0, patch, kernel, products, sums, c, first, at };
}

const PICTURES = {
  conv2d(page, node, k, i, j) {
    const { words, network } = page,
      y = network.tensors[node.output];
    const found = parts(network, node, k, i, j, page.inputChannel),
      many = found.sums.length > 1;
    const name = many ? `, ${words.channel} ${found.first + found.c}` : '';
    return [
      grid(found.patch, `${words.patch}${name}`, { scale: largest(found.x.data) }),
      sign('×'),
      grid(found.kernel, `${words.kernel} ${k}${name}`, {
        scale: largest(found.weight.data),
        edit: (r, s, value) => page.edit(node.reads[1], found.at(r, s, found.c), value),
      }),
      sign('='),
      grid(found.products, words.products),
      sign('→'),
      ...(many ? [labeled(channels(page, found), words.eachChannel), sign('→')] : []),
      result(y.data[(i * y.shape[2] + j) * y.shape[3] + k], words.sumBias(digits(found.bias, 3))),
    ];
  },
  max_pool: (page, node, c, i, j) => pooled(page, node, c, i, j, page.words.largestOf, true),
  avg_pool: (page, node, c, i, j) => pooled(page, node, c, i, j, page.words.meanOf, false),
  linear(page, node, k) {
    const { words, network } = page,
      [x, weight, bias] = node.reads.slice(0, 3).map(name => network.of(name)),
      outputs = weight.shape[1];
    const terms = Array.from(x.data, (value, d) => [value * weight.data[d * outputs + k], d, value, weight.data[d * outputs + k]]);
    terms.sort((a, b) => Math.abs(b[0]) - Math.abs(a[0]));
    const scale = largest(terms.map(([product]) => product)),
      rest = terms.slice(8).reduce((sum, [product]) => sum + product, 0);
    const head = element('tr', {}, ...[words.input, 'x', 'w', 'x × w'].map(text => element('th', { scope: 'col' }, text)));
    const rows = terms
      .slice(0, 8)
      .map(([product, d, value, w]) =>
        element(
          'tr',
          {},
          element('td', {}, String(d)),
          element('td', {}, digits(value, 3)),
          element('td', {}, digits(w, 3)),
          element('td', { style: `background: ${color(product, scale)}` }, digits(product, 3)),
        ),
      );
    if (terms.length > 8)
      rows.push(
        element('tr', {}, element('td', { colSpan: 3 }, words.more(terms.length - 8)), element('td', {}, digits(rest, 3))),
      );
    return [
      element('table', {}, element('thead', {}, head), element('tbody', {}, ...rows)),
      sign('→'),
      result(network.tensors[node.output].data[k], words.sumBias(digits(bias ? bias.data[k] : 0, 3))),
    ];
  },
};

function pooled(page, node, c, i, j, text, wins) {
  const x = page.network.of(node.reads[0]),
    y = page.network.tensors[node.output],
    places = windowOf(node.attributes, x.shape, i, j);
  const patch = places.map(row => row.map(([p, q, within]) => (within ? read(x, p, q, c) : null)));
  const flat = patch.flat().map(value => value ?? -Infinity),
    first = flat.indexOf(Math.max(...flat));
  const best = wins ? [Math.floor(first / patch[0].length), first % patch[0].length] : null;
  return [
    grid(patch, page.words.patch, { best, scale: largest(x.data) }),
    sign('→'),
    result(y.data[(i * y.shape[2] + j) * y.shape[3] + c], text),
  ];
}

function channels(page, { sums, c, first }) {
  // what each input channel adds: a cell each, which can be chosen
  const across = Math.min(8, Math.ceil(Math.sqrt(sums.length) * 1.4));
  const cells = element('div', {
    className: 'grid small scroll',
    role: 'group',
    'aria-label': page.words.eachChannel,
    style: `grid-template-columns: repeat(${across}, max-content)`,
  });
  const scale = largest(sums);
  sums.forEach((value, k) =>
    cells.append(
      element(
        'button',
        {
          type: 'button',
          className: k === c ? 'best' : '',
          'aria-pressed': k === c,
          'aria-label': `${page.words.channel} ${first + k}: ${digits(value)}`,
          style: `background: ${color(value, scale)}`,
          onclick: () => page.lookAt(k),
        },
        digits(value),
      ),
    ),
  );
  return cells;
}

function elementwise(page, node, channel, row, column) {
  // element by element, as an activation does
  const { network } = page,
    y = network.tensors[node.output],
    at = page.column(node.output).index(channel, row, column),
    before = [];
  for (const name of node.reads.flat()) {
    const x = name === null || name === node.output ? null : network.tensors[name];
    if (x && (x.size === y.size || x.size === y.shape[y.ndim - 1]))
      before.push(result(x.data[x.size === y.size ? at : at % x.size], name));
  }
  return [...before.slice(0, 6), before.length ? sign('→') : null, result(y.data[at], node.name)].filter(Boolean);
}
