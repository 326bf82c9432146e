// The network: runs the translated loops of its ops in order, forward and backward.

import { Tensor, product } from './runtime.js';

// An attribute as the hands take it: JSON has no infinity.
function attribute(value) {
  if (Array.isArray(value)) return value.map(attribute);
  return value === 'inf' ? Infinity : value === '-inf' ? -Infinity : value;
}

export class Network {
  constructor(spec, hands, numbers) {
    // numbers: every parameter and state, one after the other
    this.spec = spec;
    this.hands = hands;
    for (const { attributes } of [...spec.nodes, spec.loss])
      for (const name in attributes) attributes[name] = attribute(attributes[name]);
    this.tensors = {};
    for (const [name, { shape }] of Object.entries(spec.numbers)) this.tensors[name] = new Tensor(shape);
    for (const [name, shape] of Object.entries(spec.values)) this.tensors[name] = new Tensor(shape);
    this.input = this.tensors[spec.input];
    this.logits = this.tensors[spec.logits];
    this.wanted = new Set(spec.wanted); // what depends on the image, and parameters: these have gradients
    this.grads = {};
    this.off = new Map(); // by a node's output: the channels that are switched off
    if (numbers) this.take(numbers);
  }

  twin() {
    // another one on the same numbers, which can look at other images
    const made = new Network(this.spec, this.hands);
    for (const name of Object.keys(this.spec.numbers)) made.tensors[name] = this.tensors[name];
    made.off = this.off;
    return made;
  }

  take(numbers) {
    for (const [name, { at }] of Object.entries(this.spec.numbers)) {
      const { data } = this.tensors[name];
      data.set(numbers.subarray(at, at + data.length));
    }
  }

  numbers() {
    // all of them again, as `take` takes them
    const made = new Float32Array(Object.values(this.spec.numbers).reduce((sum, { shape }) => sum + product(shape), 0));
    for (const [name, { at }] of Object.entries(this.spec.numbers)) made.set(this.tensors[name].data, at);
    return made;
  }

  of(names) {
    if (names === null) return null;
    return Array.isArray(names) ? names.map(name => this.tensors[name]) : this.tensors[names];
  }

  silence(name, tensor) {
    // channels that are switched off
    const channels = tensor.shape[tensor.shape.length - 1];
    for (const channel of this.off.get(name) ?? []) for (let k = channel; k < tensor.size; k += channels) tensor.data[k] = 0;
  }

  forward(numbers) {
    // (H, W, C) numbers as the network receives them -> logits
    if (numbers !== this.input.data) this.input.data.set(numbers);
    for (const node of this.spec.nodes) {
      this.hands[node.forward](...node.reads.map(names => this.of(names)), node.attributes);
      if (this.off.size) this.silence(node.output, this.tensors[node.output]);
    }
    return this.logits;
  }

  loss(label) {
    // softmax and cross-entropy, after `forward`
    const { loss } = this.spec;
    this.tensors.labels.data[0] = label;
    this.hands[loss.forward](...loss.reads.map(names => this.of(names)), loss.attributes);
    return this.tensors[loss.output].data[0];
  }

  backward(label) {
    // the gradients of the loss with respect to all tensors
    const { nodes, loss } = this.spec,
      value = this.loss(label);
    this.grads = this.back([...nodes, loss], { [loss.output]: new Tensor([], Float32Array.of(1)) });
    return value;
  }

  score(index, until) {
    // the gradient of a class's logit, back to the output of a layer
    const seed = new Tensor(this.logits.shape);
    seed.data[index] = 1;
    return this.back(this.spec.nodes, { [this.spec.logits]: seed }, until);
  }

  back(nodes, sums, until = null) {
    // sums: by tensor, its gradient so far
    for (let n = nodes.length - 1; n >= 0 && nodes[n].output !== until; n--) {
      const node = nodes[n],
        own = sums[node.output];
      if (!own) continue;
      if (this.off.has(node.output)) this.silence(node.output, own);
      const { given, sent } = this.arguments(node, own);
      if (!sent.length) continue;
      this.hands[node.backward](...given, node.attributes);
      for (const [name, grad] of sent) {
        if (sums[name]) for (let k = 0; k < grad.size; k++) sums[name].data[k] += grad.data[k];
        else sums[name] = grad;
      }
    }
    return sums;
  }

  // What a backward hand is handed, and the gradients that it writes: [[name, tensor]].
  arguments(node, own) {
    const sent = [];
    const room = name => {
      if (!this.wanted.has(name)) return null;
      sent.push([name, new Tensor(this.tensors[name].shape)]);
      return sent[sent.length - 1][1];
    };
    const given = node.sends.map(([key, names]) => {
      if (key === `grad_${node.result}`) return own;
      if (!key.startsWith('grad_')) return this.of(names);
      return names === null ? null : Array.isArray(names) ? names.map(room) : room(names);
    });
    return { given, sent };
  }

  readers(name) {
    // the nodes that read a tensor
    return [...this.spec.nodes, this.spec.loss].filter(node => node.reads.flat().includes(name) && node.output !== name);
  }
}
