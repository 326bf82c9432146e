// One filter: the contribution of each input channel, their sum, the bias and the activation; backward, the gradient of one weight.

import { element, labeled, sign } from './dom.js';
import { digits, largest, paint } from './paint.js';
import { result } from './arithmetic.js';
import { Tensor } from './runtime.js';

const MAX_CONTRIBUTIONS = 16; // input channels shown: those that add most

// The map that each input channel adds to filter k, found by the translated convolution itself.
function contributions(network, node, k) {
  const [x, weight] = node.reads.slice(0, 2).map(name => network.of(name)),
    [rows, columns, depth, filters] = weight.shape;
  const y = network.tensors[node.output],
    first = Math.floor(k / (filters / node.attributes.groups)) * depth;
  return Array.from({ length: depth }, (_, c) => {
    const image = new Tensor([1, x.shape[1], x.shape[2], 1]),
      kernel = new Tensor([rows, columns, 1, 1]);
    for (let at = 0; at < image.size; at++) image.data[at] = x.data[at * x.shape[3] + first + c];
    for (let at = 0; at < kernel.size; at++) kernel.data[at] = weight.data[(at * depth + c) * filters + k];
    const made = new Tensor([1, y.shape[1], y.shape[2], 1]);
    network.hands[node.forward](image, kernel, null, made, { ...node.attributes, groups: 1 });
    return { channel: first + c, c, image, kernel, made };
  });
}

const drawn = (tensor, scale, text, className = '') => {
  const canvas = element('canvas', { className, role: 'img', 'aria-label': text });
  paint(canvas, tensor.data, tensor.shape[1], tensor.shape[2], scale);
  return labeled(canvas, text);
};

export function filterWhole(page, node, k) {
  const { words, network } = page,
    y = network.tensors[node.output],
    all = contributions(network, node, k);
  const power = contribution => contribution.made.data.reduce((sum, value) => sum + Math.abs(value), 0);
  const strongest = [...all]
    .sort((a, b) => power(b) - power(a))
    .slice(0, MAX_CONTRIBUTIONS)
    .sort((a, b) => a.channel - b.channel);
  const scale = largest(all.flatMap(contribution => [largest(contribution.made.data)])),
    imageScale = largest(network.of(node.reads[0]).data);
  const weightScale = largest(network.of(node.reads[1]).data);
  const rows = strongest.map(contribution => {
    const kernel = element('canvas', {
      className: 'kernel',
      role: 'img',
      'aria-label': `${words.kernel} ${k}, ${words.channel} ${contribution.channel}`,
    });
    const [height, width] = contribution.kernel.shape;
    paint(kernel, contribution.kernel.data, height, width, weightScale);
    return element(
      'button',
      {
        type: 'button',
        className: 'adds',
        'aria-pressed': contribution.c === page.inputChannel,
        onclick: () => page.lookAt(contribution.c),
      },
      drawn(contribution.image, imageScale, `${words.channel} ${contribution.channel}`),
      sign('×'),
      kernel,
      sign('='),
      drawn(contribution.made, scale, words.adds),
    );
  });
  const bias = node.reads[2] === null ? 0 : network.of(node.reads[2]).data[k],
    sum = new Tensor([1, y.shape[1], y.shape[2], 1]);
  for (let at = 0; at < sum.size; at++) sum.data[at] = y.data[at * y.shape[3] + k];
  const sums = [sign('→'), drawn(sum, largest(sum.data), words.sumBias(digits(bias, 3)), 'large')];
  const next = after(page, node);
  if (next) {
    const z = network.tensors[next.output],
      map = new Tensor(sum.shape);
    for (let at = 0; at < map.size; at++) map.data[at] = z.data[at * z.shape[3] + k];
    sums.push(sign('→'), drawn(map, largest(map.data), `${words.kinds[next.op] ?? next.op}`, 'large'));
  }
  const about =
    all.length > strongest.length ? element('p', { className: 'about' }, words.most(strongest.length, all.length)) : null;
  return [about, element('div', { className: 'filter' }, element('div', { className: 'addends' }, ...rows), ...sums)].filter(
    Boolean,
  );
}

function after(page, node) {
  // the last of the element by element layers that follow
  let found = null,
    name = node.output;
  for (;;) {
    const next = page.network.readers(name);
    if (
      next.length !== 1 ||
      !['relu', 'relu6', 'batch_norm', 'leaky_relu', 'silu', 'gelu', 'tanh', 'sigmoid', 'hard_swish'].includes(next[0].op)
    )
      return found;
    [found] = next;
    name = found.output;
  }
}

// One weight's gradient: the sum over all places of its pixel times the gradient there.
export function weightWhole(page, node, name, at) {
  const { words, network } = page,
    weight = network.tensors[name],
    [, columns, depth, filters] = weight.shape;
  const k = at % filters,
    c = Math.floor(at / filters) % depth,
    s = Math.floor(at / filters / depth) % columns,
    r = Math.floor(at / filters / depth / columns);
  const x = network.of(node.reads[0]),
    own = network.grads[node.output],
    { stride, padding, dilation } = node.attributes;
  const shape = [1, own.shape[1], own.shape[2], 1],
    seen = new Tensor(shape),
    grad = new Tensor(shape),
    product = new Tensor(shape);
  const group = Math.floor(k / (filters / node.attributes.groups)) * depth;
  for (let i = 0; i < shape[1]; i++)
    for (let j = 0; j < shape[2]; j++) {
      const p = i * stride[0] - padding[0] + r * dilation[0],
        q = j * stride[1] - padding[2] + s * dilation[1],
        to = i * shape[2] + j;
      if (p >= 0 && q >= 0 && p < x.shape[1] && q < x.shape[2]) seen.data[to] = x.data[(p * x.shape[2] + q) * x.shape[3] + group + c];
      grad.data[to] = own.data[to * filters + k];
      product.data[to] = seen.data[to] * grad.data[to];
    }
  return [
    drawn(seen, largest(seen.data), words.pixels(r, s), 'large'),
    sign('×'),
    drawn(grad, largest(grad.data), words.gradientThere, 'large'),
    sign('='),
    drawn(product, largest(product.data), words.products, 'large'),
    sign('→'),
    result(network.grads[name].data[at], words.sumOf(product.size), 4),
  ];
}
