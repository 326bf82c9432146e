// One filter: each input channel's contribution, their sum with the bias, the activation; backward, the gradient of one weight.

import { element, labeled, operator } from './dom.js';
import { formatNumber, maxAbs, paintNumbers } from './paint.js';
import { labeledResult } from './arithmetic.js';
import { Tensor } from './runtime.js';

const MAX_CONTRIBUTIONS = 16; // input channels shown: those that contribute most
const ELEMENTWISE = new Set(['relu', 'relu6', 'batch_norm', 'leaky_relu', 'silu', 'gelu', 'tanh', 'sigmoid', 'hard_swish']);

// The map that each input channel adds to filter k, computed by the translated convolution with one channel.
function contributionsOf(network, node, k) {
  const [x, weight] = node.reads.slice(0, 2).map(name => network.tensorsNamed(name)),
    [rows, columns, depth, filters] = weight.shape;
  const y = network.tensors[node.output],
    first = Math.floor(k / (filters / node.attributes.groups)) * depth;
  return Array.from({ length: depth }, (_, c) => {
    const image = new Tensor([1, x.shape[1], x.shape[2], 1]),
      kernel = new Tensor([rows, columns, 1, 1]);
    for (let index = 0; index < image.size; index++) image.data[index] = x.data[index * x.shape[3] + first + c];
    for (let index = 0; index < kernel.size; index++) kernel.data[index] = weight.data[(index * depth + c) * filters + k];
    const output = new Tensor([1, y.shape[1], y.shape[2], 1]);
    network.hands[node.forward](image, kernel, null, output, { ...node.attributes, groups: 1 });
    return { channel: first + c, c, image, kernel, output };
  });
}

const labeledMap = (tensor, scale, text, className = '') => {
  const canvas = element('canvas', { className, role: 'img', 'aria-label': text });
  paintNumbers(canvas, tensor.data, tensor.shape[1], tensor.shape[2], scale);
  return labeled(canvas, text);
};

export function filterPanel(page, node, k) {
  const { words, network } = page,
    y = network.tensors[node.output],
    contributions = contributionsOf(network, node, k);
  const totalOf = contribution => contribution.output.data.reduce((sum, value) => sum + Math.abs(value), 0);
  const strongest = [...contributions]
    .sort((a, b) => totalOf(b) - totalOf(a))
    .slice(0, MAX_CONTRIBUTIONS)
    .sort((a, b) => a.channel - b.channel);
  const scale = maxAbs(contributions.flatMap(contribution => [maxAbs(contribution.output.data)])),
    imageScale = maxAbs(network.tensorsNamed(node.reads[0]).data);
  const weightScale = maxAbs(network.tensorsNamed(node.reads[1]).data);
  const rows = strongest.map(contribution => {
    const kernel = element('canvas', {
      className: 'kernel',
      role: 'img',
      'aria-label': `${words.kernel} ${k}, ${words.channel} ${contribution.channel}`,
    });
    const [height, width] = contribution.kernel.shape;
    paintNumbers(kernel, contribution.kernel.data, height, width, weightScale);
    return element(
      'button',
      {
        type: 'button',
        className: 'contribution',
        'aria-pressed': contribution.c === page.inputChannel,
        onclick: () => page.selectInputChannel(contribution.c),
      },
      labeledMap(contribution.image, imageScale, `${words.channel} ${contribution.channel}`),
      operator('×'),
      kernel,
      operator('='),
      labeledMap(contribution.output, scale, words.contribution),
    );
  });
  const bias = node.reads[2] === null ? 0 : network.tensorsNamed(node.reads[2]).data[k],
    sum = new Tensor([1, y.shape[1], y.shape[2], 1]);
  for (let index = 0; index < sum.size; index++) sum.data[index] = y.data[index * y.shape[3] + k];
  const sums = [operator('→'), labeledMap(sum, maxAbs(sum.data), words.sumPlusBias(formatNumber(bias, 3)), 'large')];
  const next = nextActivation(page, node);
  if (next) {
    const activated = network.tensors[next.output],
      activation = new Tensor(sum.shape);
    for (let index = 0; index < activation.size; index++)
      activation.data[index] = activated.data[index * activated.shape[3] + k];
    sums.push(operator('→'), labeledMap(activation, maxAbs(activation.data), `${words.kinds[next.op] ?? next.op}`, 'large'));
  }
  const about =
    contributions.length > strongest.length
      ? element('p', { className: 'about' }, words.largestContributions(strongest.length, contributions.length))
      : null;
  return [
    about,
    element('div', { className: 'filter' }, element('div', { className: 'contributions' }, ...rows), ...sums),
  ].filter(Boolean);
}

// The last of the elementwise layers that follow a node without a branch.
function nextActivation(page, node) {
  let activation = null,
    name = node.output;
  for (;;) {
    const readers = page.network.readers(name);
    if (readers.length !== 1 || !ELEMENTWISE.has(readers[0].op)) return activation;
    [activation] = readers;
    name = activation.output;
  }
}

// The gradient of one weight: the sum over all positions of the pixel under it times the gradient of the output.
export function weightPanel(page, node, name, index) {
  const { words, network } = page,
    weight = network.tensors[name],
    [, columns, depth, filters] = weight.shape;
  const k = index % filters,
    c = Math.floor(index / filters) % depth,
    s = Math.floor(index / filters / depth) % columns,
    r = Math.floor(index / filters / depth / columns);
  const x = network.tensorsNamed(node.reads[0]),
    outputGradient = network.grads[node.output],
    { stride, padding, dilation } = node.attributes;
  const shape = [1, outputGradient.shape[1], outputGradient.shape[2], 1],
    pixels = new Tensor(shape),
    grad = new Tensor(shape),
    product = new Tensor(shape);
  const firstChannel = Math.floor(k / (filters / node.attributes.groups)) * depth;
  for (let i = 0; i < shape[1]; i++)
    for (let j = 0; j < shape[2]; j++) {
      const p = i * stride[0] - padding[0] + r * dilation[0],
        q = j * stride[1] - padding[2] + s * dilation[1],
        position = i * shape[2] + j;
      if (p >= 0 && q >= 0 && p < x.shape[1] && q < x.shape[2])
        pixels.data[position] = x.data[(p * x.shape[2] + q) * x.shape[3] + firstChannel + c];
      grad.data[position] = outputGradient.data[position * filters + k];
      product.data[position] = pixels.data[position] * grad.data[position];
    }
  return [
    labeledMap(pixels, maxAbs(pixels.data), words.pixelsUnderWeight(r, s), 'large'),
    operator('×'),
    labeledMap(grad, maxAbs(grad.data), words.outputGradient, 'large'),
    operator('='),
    labeledMap(product, maxAbs(product.data), words.products, 'large'),
    operator('→'),
    labeledResult(network.grads[name].data[index], words.sumOfProducts(product.size), 4),
  ];
}
