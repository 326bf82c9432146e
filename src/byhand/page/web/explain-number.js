// The explanation of one number: the lines of the loops hand that computed it, with the values they read and wrote.

import { element } from './dom.js';
import { digits } from './paint.js';
import { Tensor } from './runtime.js';
import { LineTracer } from './line-tracer.js';

export const TRACE_MAX_MACS = 6e6; // largest layer whose gradients are traced line by line
const FULL_TRACE_MAX_NUMBERS = 3e5; // largest array that is traced whole, where the relevant range is unknown

// Run a node's hand again for array.data[at] alone and return its trace: [{ line, names, read, made }]; null: too large to trace.
export function traceForward(network, node, array, at) {
  const outputs = node.reads
    .flat()
    .filter(name => name in network.spec.values)
    .map(name => network.tensors[name]);
  const before = outputs.map(({ data }) => data.slice()),
    value = array.data[at];
  const read = node.reads.map(names => network.of(names));
  const found = attempts(array, at, [alike(read.flat(), array, at)], value, tracer =>
    network.hands[`${node.forward}$traced`](tracer, ...read, node.attributes),
  );
  outputs.forEach(({ data }, k) => data.set(before[k]));
  return found;
}

// The same for the gradient that a node sends to a tensor.
export function traceBackward(network, node, name, at) {
  const own = node.output in network.grads ? network.grads[node.output] : new Tensor([], Float32Array.of(1));
  const { given, sent } = network.arguments(node, own),
    [, array] = sent.find(([tensorName]) => tensorName === name) ?? [];
  if (!array) return null;
  network.hands[node.backward](...given, node.attributes);
  const value = array.data[at],
    ranges = [rangesOf(node, own, array, at, network), alike([own], array, at)];
  const steps = attempts(array, at, ranges, value, tracer =>
    network.hands[`${node.backward}$traced`](tracer, ...given, node.attributes),
  );
  return { steps, value };
}

// Trace the smallest range that reproduces the number: first the ranges that seem relevant, then the whole array.
function attempts(array, at, ranges, value, run) {
  const everything = new Map();
  for (const chosen of [...ranges.filter(range => range.size), everything]) {
    if (chosen === everything && array.size > FULL_TRACE_MAX_NUMBERS) return null;
    const tracer = new LineTracer(array, at, chosen);
    array.data[at] = NaN;
    run(tracer);
    if (Object.is(array.data[at], value)) return flattened(tracer.steps, {});
  }
  return null;
}

// Tensors of the same shape: an elementwise op reads their number `at` alone.
const alike = (tensors, array, at) =>
  new Map(
    tensors
      .filter(tensor => tensor && tensor !== array && String(tensor.shape) === String(array.shape))
      .map(tensor => [tensor, [at, at + 1]]),
  );

// Which outputs of a window matter for pixel `at` of its input: the rows whose windows see it.
function rangesOf(node, own, array, at, network) {
  const { stride, padding, dilation = [1, 1], kernel } = node.attributes,
    x = network.of(node.reads[0]);
  if (!stride || !padding || own.ndim !== 4 || array.shape !== x?.shape) return new Map();
  const reach = ((kernel ?? network.of(node.reads[1]).shape)[0] - 1) * dilation[0],
    size = own.strides[1];
  const row = Math.floor(at / array.strides[1]) + padding[0];
  const first = Math.max(0, Math.ceil((row - reach) / stride[0])),
    last = Math.min(own.shape[1] - 1, Math.floor(row / stride[0]));
  return new Map([[own, [first * size, (last + 1) * size]]]);
}

function flattened(steps, names) {
  const made = [];
  for (const step of steps) {
    if (!step.rounds) {
      made.push({ ...step, names });
      continue;
    }
    for (const round of step.rounds) made.push(...flattened(round.steps, { ...names, ...round.names }));
  }
  return made;
}

// The source, with the values of each line beside it: once, or term by term.
export function code(source, steps, words, most = 40) {
  const byLine = new Map();
  for (const step of steps) (byLine.get(step.line) ?? byLine.set(step.line, []).get(step.line)).push(step);
  const block = element(
    'pre',
    { tabIndex: 0, role: 'region', 'aria-label': words.lines(source.name) },
    element('span', { className: 'dim' }, words.lines(source.name), `  byhand/${source.file}`, '\n\n'),
  );
  source.lines.forEach((text, i) => {
    const line = i + 1,
      here = byLine.get(line) ?? [];
    block.append(element('span', { className: here.length ? '' : 'dim' }, text));
    if (here.length === 1) block.append('  ', element('span', { className: 'value' }, result(here[0])));
    block.append('\n');
    const numbers = here.length === 1 ? here[0].read.filter(value => typeof value === 'number').length : 2;
    if (!here.length || numbers < 2 || !source.listed.includes(line)) return;
    const indent = '      ',
      names = varying(here);
    const [shown, rest] = heaviest(here, text.includes('+='), most);
    for (const step of shown) {
      const at = names
        .map(name => `${name}=${[step.names[name]].flat().join(',')}`)
        .join(' ')
        .padEnd(names.length * 5);
      block.append(
        element('span', { className: 'dim' }, indent + at),
        '  ',
        filled(source, text, step),
        ' ',
        element('mark', {}, result(step)),
        '\n',
      );
    }
    const left = here.length - shown.length;
    if (left)
      block.append(
        element(
          'span',
          { className: 'dim' },
          indent + (rest === null ? words.more(left) : words.moreAdd(left, digits(rest, 3))),
        ),
        '\n',
      );
  });
  return block;
}

const varying = steps =>
  Object.keys(steps[0].names).filter(name => steps.some(step => String(step.names[name]) !== String(steps[0].names[name])));
const result = step =>
  step.made.every(value => value === null)
    ? ''
    : `= ${step.made
        .filter(value => value !== null)
        .map(value => (Array.isArray(value) ? value.join(', ') : digits(value, Number.isInteger(value) ? 0 : 3)))
        .join(', ')}`;

// Of too many steps, those that add most to their sum, in their order, and what all others add.
function heaviest(steps, sum, most) {
  if (steps.length <= most) return [steps, null];
  if (!sum) return [steps.slice(0, most), null];
  const adds = steps.map((step, k) => step.made[0] - (k ? steps[k - 1].made[0] : 0)),
    order = steps.map((_, k) => k);
  order.sort((a, b) => Math.abs(adds[b]) - Math.abs(adds[a]));
  const kept = new Set(order.slice(0, most).filter(k => adds[k] !== 0));
  return [steps.filter((_, k) => kept.has(k)), adds.reduce((total, add, k) => (kept.has(k) ? total : total + add), 0)];
}

// A line with the numbers in it that it read: `total += 0.310 * −0.220`.
function filled(source, text, step) {
  let made = '',
    from = text.length - text.trimStart().length;
  source.reads[step.line].forEach((place, k) => {
    const value = step.read[k];
    if (!place || place[0] < from || (typeof value !== 'number' && value !== null)) return;
    made += text.slice(from, place[0]) + digits(value, Number.isInteger(value) ? 0 : 3);
    from = place[1];
  });
  return made + text.slice(from).replace(/\s*#.*$/, '');
}
