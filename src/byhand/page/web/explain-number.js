// The source of one number: the lines of the loops hand that computed it, annotated with the values they read and wrote.

import { element } from './dom.js';
import { formatNumber } from './paint.js';
import { Tensor } from './runtime.js';
import { LineTracer } from './line-tracer.js';

export const TRACE_MAX_MACS = 6e6; // gradients of larger layers are not traced
const FULL_TRACE_MAX_ELEMENTS = 3e5; // larger arrays are traced only if the relevant range is known

// Run a node's traced hand for array.data[index]. Returns [{ line, names, read, written }], or null if it is too large to trace.
export function traceForward(network, node, array, index) {
  const outputs = node.reads
    .flat()
    .filter(name => name in network.spec.values)
    .map(name => network.tensors[name]);
  const before = outputs.map(({ data }) => data.slice()),
    value = array.data[index];
  const operands = node.reads.map(names => network.tensorsNamed(names));
  const steps = traceSmallestRange(array, index, [sameShape(operands.flat(), array, index)], value, tracer =>
    network.hands[`${node.forward}$traced`](tracer, ...operands, node.attributes),
  );
  outputs.forEach(({ data }, k) => data.set(before[k]));
  return steps;
}

// The same for element `index` of the gradient that a node passes back to a tensor.
export function traceBackward(network, node, name, index) {
  const outputGradient = node.output in network.grads ? network.grads[node.output] : new Tensor([], Float32Array.of(1));
  const { backwardArguments, inputGradients } = network.prepareBackward(node, outputGradient),
    [, array] = inputGradients.find(([tensorName]) => tensorName === name) ?? [];
  if (!array) return null;
  network.hands[node.backward](...backwardArguments, node.attributes);
  const value = array.data[index],
    ranges = [rangeOfReaders(node, outputGradient, array, index, network), sameShape([outputGradient], array, index)];
  const steps = traceSmallestRange(array, index, ranges, value, tracer =>
    network.hands[`${node.backward}$traced`](tracer, ...backwardArguments, node.attributes),
  );
  return { steps, value };
}

// Trace the first range that reproduces the number, then the whole array. The number is set to NaN before each run, so that
// a range that misses one of its terms shows.
function traceSmallestRange(array, index, ranges, value, run) {
  const fullRange = new Map();
  for (const range of [...ranges.filter(map => map.size), fullRange]) {
    if (range === fullRange && array.size > FULL_TRACE_MAX_ELEMENTS) return null;
    const tracer = new LineTracer(array, index, range);
    array.data[index] = NaN;
    run(tracer);
    if (Object.is(array.data[index], value)) return flattenIterations(tracer.steps, {});
  }
  return null;
}

// The range of an elementwise op: of tensors of the array's shape, it reads element `index` only.
const sameShape = (tensors, array, index) =>
  new Map(
    tensors
      .filter(tensor => tensor && tensor !== array && String(tensor.shape) === String(array.shape))
      .map(tensor => [tensor, [index, index + 1]]),
  );

// The range of a window op's gradient: the output rows whose windows cover element `index` of the input.
function rangeOfReaders(node, outputGradient, array, index, network) {
  const { stride, padding, dilation = [1, 1], kernel } = node.attributes,
    x = network.tensorsNamed(node.reads[0]);
  if (!stride || !padding || outputGradient.ndim !== 4 || array.shape !== x?.shape) return new Map();
  const span = ((kernel ?? network.tensorsNamed(node.reads[1]).shape)[0] - 1) * dilation[0],
    rowStride = outputGradient.strides[1];
  const row = Math.floor(index / array.strides[1]) + padding[0];
  const first = Math.max(0, Math.ceil((row - span) / stride[0])),
    last = Math.min(outputGradient.shape[1] - 1, Math.floor(row / stride[0]));
  return new Map([[outputGradient, [first * rowStride, (last + 1) * rowStride]]]);
}

function flattenIterations(steps, names) {
  const flat = [];
  for (const step of steps) {
    if (!step.iterations) {
      flat.push({ ...step, names });
      continue;
    }
    for (const iteration of step.iterations) flat.push(...flattenIterations(iteration.steps, { ...names, ...iteration.names }));
  }
  return flat;
}

// The source with the values of each line: beside it if it ran once, else below it, term by term.
export function annotatedSource(source, steps, words, maxTerms = 40) {
  const byLine = new Map();
  for (const step of steps) (byLine.get(step.line) ?? byLine.set(step.line, []).get(step.line)).push(step);
  const block = element(
    'pre',
    { tabIndex: 0, role: 'region', 'aria-label': words.sourceOf(source.name) },
    element('span', { className: 'dim' }, words.sourceOf(source.name), `  byhand/${source.file}`, '\n\n'),
  );
  source.lines.forEach((text, i) => {
    const line = i + 1,
      lineSteps = byLine.get(line) ?? [];
    block.append(element('span', { className: lineSteps.length ? '' : 'dim' }, text));
    if (lineSteps.length === 1) block.append('  ', element('span', { className: 'value' }, resultText(lineSteps[0])));
    block.append('\n');
    const numbers = lineSteps.length === 1 ? lineSteps[0].read.filter(value => typeof value === 'number').length : 2;
    if (!lineSteps.length || numbers < 2 || !source.listed.includes(line)) return;
    const indent = '      ',
      names = varyingNames(lineSteps);
    const [shown, rest] = largestTerms(lineSteps, text.includes('+='), maxTerms);
    for (const step of shown) {
      const indices = names
        .map(name => `${name}=${[step.names[name]].flat().join(',')}`)
        .join(' ')
        .padEnd(names.length * 5);
      block.append(
        element('span', { className: 'dim' }, indent + indices),
        '  ',
        substitute(source, text, step),
        ' ',
        element('mark', {}, resultText(step)),
        '\n',
      );
    }
    const remaining = lineSteps.length - shown.length;
    if (remaining)
      block.append(
        element(
          'span',
          { className: 'dim' },
          indent + (rest === null ? words.more(remaining) : words.moreWithSum(remaining, formatNumber(rest, 3))),
        ),
        '\n',
      );
  });
  return block;
}

const varyingNames = steps =>
  Object.keys(steps[0].names).filter(name => steps.some(step => String(step.names[name]) !== String(steps[0].names[name])));
const resultText = step =>
  step.written.every(value => value === null)
    ? ''
    : `= ${step.written
        .filter(value => value !== null)
        .map(value => (Array.isArray(value) ? value.join(', ') : formatNumber(value, Number.isInteger(value) ? 0 : 3)))
        .join(', ')}`;

// Of more than maxTerms steps, those that add most to the sum, in their order, and the sum of the others.
function largestTerms(steps, isSum, maxTerms) {
  if (steps.length <= maxTerms) return [steps, null];
  if (!isSum) return [steps.slice(0, maxTerms), null];
  const terms = steps.map((step, k) => step.written[0] - (k ? steps[k - 1].written[0] : 0)),
    order = steps.map((_, k) => k);
  order.sort((a, b) => Math.abs(terms[b]) - Math.abs(terms[a]));
  const kept = new Set(order.slice(0, maxTerms).filter(k => terms[k] !== 0));
  return [steps.filter((_, k) => kept.has(k)), terms.reduce((total, term, k) => (kept.has(k) ? total : total + term), 0)];
}

// A line with the values it read in place of its variables: `total += 0.310 * −0.220`.
function substitute(source, text, step) {
  let substituted = '',
    position = text.length - text.trimStart().length;
  source.reads[step.line].forEach((columns, k) => {
    const value = step.read[k];
    if (!columns || columns[0] < position || (typeof value !== 'number' && value !== null)) return;
    substituted += text.slice(position, columns[0]) + formatNumber(value, Number.isInteger(value) ? 0 : 3);
    position = columns[1];
  });
  return substituted + text.slice(position).replace(/\s*#.*$/, '');
}
