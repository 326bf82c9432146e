// The network: runs the translated loops of its ops in order, forward and backward.

import { Tensor, product } from './runtime.js';

// JSON has no infinity: Python writes it as a string.
function parseAttribute(value) {
  if (Array.isArray(value)) return value.map(parseAttribute);
  return value === 'inf' ? Infinity : value === '-inf' ? -Infinity : value;
}

export class Network {
  // parameters: all parameters and states, one after the other
  constructor(spec, hands, parameters) {
    this.spec = spec;
    this.hands = hands;
    for (const { attributes } of [...spec.nodes, spec.loss])
      for (const name in attributes) attributes[name] = parseAttribute(attributes[name]);
    this.tensors = {};
    for (const [name, { shape }] of Object.entries(spec.parameters)) this.tensors[name] = new Tensor(shape);
    for (const [name, shape] of Object.entries(spec.values)) this.tensors[name] = new Tensor(shape);
    this.input = this.tensors[spec.input];
    this.logits = this.tensors[spec.logits];
    this.needsGradient = new Set(spec.needsGradient); // tensors that depend on the image, and parameters
    this.grads = {};
    this.ablatedChannels = new Map(); // by a node's output: the channels that are set to zero
    if (parameters) this.setParameters(parameters);
  }

  // A network with the same parameters and its own activations, for other images.
  withSharedParameters() {
    const network = new Network(this.spec, this.hands);
    for (const name of Object.keys(this.spec.parameters)) network.tensors[name] = this.tensors[name];
    network.ablatedChannels = this.ablatedChannels;
    return network;
  }

  setParameters(parameters) {
    for (const [name, { offset }] of Object.entries(this.spec.parameters)) {
      const { data } = this.tensors[name];
      data.set(parameters.subarray(offset, offset + data.length));
    }
  }

  // The parameters in the layout of setParameters.
  parameters() {
    const parameters = new Float32Array(
      Object.values(this.spec.parameters).reduce((sum, { shape }) => sum + product(shape), 0),
    );
    for (const [name, { offset }] of Object.entries(this.spec.parameters)) parameters.set(this.tensors[name].data, offset);
    return parameters;
  }

  tensorsNamed(names) {
    if (names === null) return null;
    return Array.isArray(names) ? names.map(name => this.tensors[name]) : this.tensors[names];
  }

  // Set the ablated channels of a node's output, or of its gradient, to zero.
  ablate(name, tensor) {
    const channelCount = tensor.shape[tensor.shape.length - 1];
    for (const channel of this.ablatedChannels.get(name) ?? [])
      for (let k = channel; k < tensor.size; k += channelCount) tensor.data[k] = 0;
  }

  // image: normalized, (H, W, C); returns the logits.
  forward(image) {
    if (image !== this.input.data) this.input.data.set(image);
    for (const node of this.spec.nodes) {
      this.hands[node.forward](...node.reads.map(names => this.tensorsNamed(names)), node.attributes);
      if (this.ablatedChannels.size) this.ablate(node.output, this.tensors[node.output]);
    }
    return this.logits;
  }

  // The cross-entropy, after `forward`: of one class by its number, or of labels, of which this one alone is true.
  loss(label) {
    const { loss } = this.spec,
      { labels } = this.tensors;
    if (labels.size === 1) labels.data[0] = label;
    else labels.data.fill(0).fill(1, label, label + 1);
    this.hands[loss.forward](...loss.reads.map(names => this.tensorsNamed(names)), loss.attributes);
    return this.tensors[loss.output].data[0];
  }

  // Compute the gradients of the loss with respect to all tensors; return the loss.
  backward(label) {
    const { nodes, loss } = this.spec,
      value = this.loss(label);
    this.grads = this.backpropagate([...nodes, loss], { [loss.output]: new Tensor([], Float32Array.of(1)) });
    return value;
  }

  // The gradients of a class's logit, down to the output of node `until`.
  logitGradient(index, until) {
    const seed = new Tensor(this.logits.shape);
    seed.data[index] = 1;
    return this.backpropagate(this.spec.nodes, { [this.spec.logits]: seed }, until);
  }

  // grads: by tensor, its gradient so far; a tensor that several nodes read gets the sum of their gradients.
  backpropagate(nodes, grads, until = null) {
    for (let n = nodes.length - 1; n >= 0 && nodes[n].output !== until; n--) {
      const node = nodes[n],
        outputGradient = grads[node.output];
      if (!outputGradient) continue;
      if (this.ablatedChannels.has(node.output)) this.ablate(node.output, outputGradient);
      const { backwardArguments, inputGradients } = this.prepareBackward(node, outputGradient);
      if (!inputGradients.length) continue;
      this.hands[node.backward](...backwardArguments, node.attributes);
      for (const [name, grad] of inputGradients) {
        if (grads[name]) for (let k = 0; k < grad.size; k++) grads[name].data[k] += grad.data[k];
        else grads[name] = grad;
      }
    }
    return grads;
  }

  // The arguments of a node's backward hand, and the gradients among them that it writes: [[name, tensor]].
  prepareBackward(node, outputGradient) {
    const inputGradients = [];
    const allocateGradient = name => {
      if (!this.needsGradient.has(name)) return null;
      inputGradients.push([name, new Tensor(this.tensors[name].shape)]);
      return inputGradients[inputGradients.length - 1][1];
    };
    const backwardArguments = node.backwardArguments.map(([key, names]) => {
      if (key === `grad_${node.result}`) return outputGradient;
      if (!key.startsWith('grad_')) return this.tensorsNamed(names);
      return names === null ? null : Array.isArray(names) ? names.map(allocateGradient) : allocateGradient(names);
    });
    return { backwardArguments, inputGradients };
  }

  // The nodes that read a tensor.
  readers(name) {
    return [...this.spec.nodes, this.spec.loss].filter(node => node.reads.flat().includes(name) && node.output !== name);
  }
}
