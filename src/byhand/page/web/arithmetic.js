// The arithmetic of one number as a figure: patch x kernel = products -> sum, the maximum of a window, a table of terms, or f(x).

import { clampIndex, element, labeled, operator } from './dom.js';
import { cssColor, formatNumber, maxAbs } from './paint.js';

// The power of ten that a grid of small numbers shares; its label shows it.
function sharedExponent(rows) {
  const max = maxAbs(rows.flat());
  return max === 0 || max >= 0.05 ? 0 : Math.floor(Math.log10(max));
}
const superscript = exponent => [...String(exponent)].map(character => '⁰¹²³⁴⁵⁶⁷⁸⁹'[character] ?? '⁻').join('');
const toFixed = (value, decimals) =>
  Math.abs(value) < 0.5 * 10 ** -decimals ? (0).toFixed(decimals) : formatNumber(value, decimals);

// A grid of numbers with its label below; the background shows the magnitude, null is outside the image.
// highlighted: [row, column]; edit(row, column, value) makes the cells inputs, choose(row, column) makes them buttons.
export function numberGrid(rows, label, { highlighted = null, scale, decimals = 2, edit = null, choose = null } = {}) {
  scale ??= maxAbs(rows.flat());
  const exponent = sharedExponent(rows),
    format = value => (edit && exponent ? formatNumber(value, decimals) : toFixed(value / 10 ** exponent, decimals)),
    isSmall = rows[0].length > 4 || rows.length > 4;
  const cells = element('div', {
    className: `grid${isSmall ? ' small' : ''}`,
    style: `grid-template-columns: repeat(${rows[0].length}, max-content)`,
    role: 'group',
    'aria-label': label,
  });
  rows.forEach((row, i) =>
    row.forEach((value, j) => {
      const style = `background: ${value === null ? 'transparent' : cssColor(value, scale)}`,
        className = highlighted && highlighted[0] === i && highlighted[1] === j ? 'highlighted' : '';
      const text = value === null ? '·' : format(value),
        about = `${label} ${i}, ${j}`;
      if (edit) cells.append(numberInput(text, value, { style, className, 'aria-label': about }, typed => edit(i, j, typed)));
      else if (choose) {
        const onClick = () => choose(i, j);
        cells.append(
          element('button', { type: 'button', style, className, 'aria-label': `${about}: ${text}`, onclick: onClick }, text),
        );
      } else cells.append(element('span', { style, className }, text));
    }),
  );
  return labeled(cells, exponent && !edit ? `${label} × 10${superscript(exponent)}` : label);
}

// An input that shows six significant digits while it has the focus.
function numberInput(text, value, attributes, onEdit) {
  const input = element('input', { type: 'text', inputMode: 'decimal', value: text, ...attributes });
  input.addEventListener('focus', () => {
    input.value = String(Number(value.toPrecision(6)));
    input.select();
  });
  input.addEventListener('blur', () => (input.value = text));
  input.addEventListener('change', () => onEdit(Number(input.value.replace('−', '-').replace(',', '.'))));
  return input;
}

export const labeledResult = (value, text, decimals = 3) =>
  labeled(element('output', { className: 'result' }, formatNumber(value, decimals)), text);

// The input positions under a node's window, by row and column of the kernel: [row, column, inside the image].
function windowPositions({ kernel, stride, padding, dilation = [1, 1] }, [, height, width], row, column) {
  return Array.from({ length: kernel[0] }, (_, r) =>
    Array.from({ length: kernel[1] }, (_, s) => {
      const p = row * stride[0] - padding[0] + r * dilation[0],
        q = column * stride[1] - padding[2] + s * dilation[1];
      return [p, q, p >= 0 && q >= 0 && p < height && q < width];
    }),
  );
}

const elementAt = (x, p, q, c) => x.data[(p * x.shape[2] + q) * x.shape[3] + c];

export function arithmeticFigure(page, node, channel, row, column) {
  return (FIGURES[node.op] ?? elementwiseFigure)(page, node, channel, row, column);
}

// The terms of a convolution's sum at one output position: patch and products of one input channel, and each channel's sum.
function convolutionTerms(network, node, k, i, j, inputChannel) {
  const [x, weight, bias] = node.reads.slice(0, 3).map(name => network.tensorsNamed(name)),
    [rows, columns, depth, filters] = weight.shape;
  const first = Math.floor(k / (filters / node.attributes.groups)) * depth,
    c = clampIndex(inputChannel, depth);
  const positions = windowPositions({ ...node.attributes, kernel: [rows, columns] }, x.shape, i, j);
  const weightIndex = (r, s, c) => ((r * columns + s) * depth + c) * filters + k;
  const patch = positions.map(line => line.map(([p, q, within]) => (within ? elementAt(x, p, q, first + c) : null)));
  const kernel = positions.map((line, r) => line.map((_, s) => weight.data[weightIndex(r, s, c)]));
  const products = patch.map((line, r) => line.map((value, s) => (value === null ? null : value * kernel[r][s])));
  const sums = Array.from({ length: depth }, (_, c) => {
    let sum = 0;
    positions.forEach((line, r) =>
      line.forEach(([p, q, within], s) => {
        if (within) sum += elementAt(x, p, q, first + c) * weight.data[weightIndex(r, s, c)];
      }),
    );
    return sum;
  });
  return { x, weight, bias: bias ? bias.data[k] : 0, patch, kernel, products, sums, c, first, weightIndex };
}

const FIGURES = {
  conv2d(page, node, k, i, j) {
    const { words, network } = page,
      y = network.tensors[node.output];
    const terms = convolutionTerms(network, node, k, i, j, page.inputChannel),
      severalChannels = terms.sums.length > 1;
    const name = severalChannels ? `, ${words.channel} ${terms.first + terms.c}` : '';
    return [
      numberGrid(terms.patch, `${words.patch}${name}`, { scale: maxAbs(terms.x.data) }),
      operator('×'),
      numberGrid(terms.kernel, `${words.kernel} ${k}${name}`, {
        scale: maxAbs(terms.weight.data),
        edit: (r, s, value) => page.edit(node.reads[1], terms.weightIndex(r, s, terms.c), value),
      }),
      operator('='),
      numberGrid(terms.products, words.products),
      operator('→'),
      ...(severalChannels ? [labeled(channelSums(page, terms), words.channelContributions), operator('→')] : []),
      labeledResult(y.data[(i * y.shape[2] + j) * y.shape[3] + k], words.sumPlusBias(formatNumber(terms.bias, 3))),
    ];
  },
  max_pool: (page, node, c, i, j) => poolFigure(page, node, c, i, j, page.words.largestOf, true),
  avg_pool: (page, node, c, i, j) => poolFigure(page, node, c, i, j, page.words.meanOf, false),
  linear(page, node, k) {
    const { words, network } = page,
      [x, weight, bias] = node.reads.slice(0, 3).map(name => network.tensorsNamed(name)),
      outputs = weight.shape[1];
    const terms = Array.from(x.data, (value, d) => [
      value * weight.data[d * outputs + k],
      d,
      value,
      weight.data[d * outputs + k],
    ]);
    terms.sort((a, b) => Math.abs(b[0]) - Math.abs(a[0]));
    const scale = maxAbs(terms.map(([product]) => product)),
      rest = terms.slice(8).reduce((sum, [product]) => sum + product, 0);
    const head = element('tr', {}, ...[words.input, 'x', 'w', 'x × w'].map(text => element('th', { scope: 'col' }, text)));
    const rows = terms
      .slice(0, 8)
      .map(([product, d, value, w]) =>
        element(
          'tr',
          {},
          element('td', {}, String(d)),
          element('td', {}, formatNumber(value, 3)),
          element('td', {}, formatNumber(w, 3)),
          element('td', { style: `background: ${cssColor(product, scale)}` }, formatNumber(product, 3)),
        ),
      );
    if (terms.length > 8)
      rows.push(
        element(
          'tr',
          {},
          element('td', { colSpan: 3 }, words.more(terms.length - 8)),
          element('td', {}, formatNumber(rest, 3)),
        ),
      );
    return [
      element('table', {}, element('thead', {}, head), element('tbody', {}, ...rows)),
      operator('→'),
      labeledResult(network.tensors[node.output].data[k], words.sumPlusBias(formatNumber(bias ? bias.data[k] : 0, 3))),
    ];
  },
};

function poolFigure(page, node, c, i, j, text, isMax) {
  const x = page.network.tensorsNamed(node.reads[0]),
    y = page.network.tensors[node.output],
    positions = windowPositions(node.attributes, x.shape, i, j);
  const patch = positions.map(row => row.map(([p, q, within]) => (within ? elementAt(x, p, q, c) : null)));
  const flat = patch.flat().map(value => value ?? -Infinity),
    argmax = flat.indexOf(Math.max(...flat));
  const highlighted = isMax ? [Math.floor(argmax / patch[0].length), argmax % patch[0].length] : null;
  return [
    numberGrid(patch, page.words.patch, { highlighted, scale: maxAbs(x.data) }),
    operator('→'),
    labeledResult(y.data[(i * y.shape[2] + j) * y.shape[3] + c], text),
  ];
}

// The contribution of each input channel: a grid of buttons that select one.
function channelSums(page, { sums, c, first }) {
  const columns = Math.min(8, Math.ceil(Math.sqrt(sums.length) * 1.4));
  const cells = element('div', {
    className: 'grid small scroll',
    role: 'group',
    'aria-label': page.words.channelContributions,
    style: `grid-template-columns: repeat(${columns}, max-content)`,
  });
  const scale = maxAbs(sums);
  sums.forEach((value, k) =>
    cells.append(
      element(
        'button',
        {
          type: 'button',
          className: k === c ? 'highlighted' : '',
          'aria-pressed': k === c,
          'aria-label': `${page.words.channel} ${first + k}: ${formatNumber(value)}`,
          style: `background: ${cssColor(value, scale)}`,
          onclick: () => page.selectInputChannel(k),
        },
        formatNumber(value),
      ),
    ),
  );
  return cells;
}

// The operands of an elementwise op, as of an activation, and its result.
function elementwiseFigure(page, node, channel, row, column) {
  const { network } = page,
    y = network.tensors[node.output],
    index = page.column(node.output).flatIndex(channel, row, column),
    operands = [];
  for (const name of node.reads.flat()) {
    const x = name === null || name === node.output ? null : network.tensors[name];
    if (x && (x.size === y.size || x.size === y.shape[y.ndim - 1]))
      operands.push(labeledResult(x.data[x.size === y.size ? index : index % x.size], name));
  }
  return [...operands.slice(0, 6), operands.length ? operator('→') : null, labeledResult(y.data[index], node.name)].filter(
    Boolean,
  );
}
