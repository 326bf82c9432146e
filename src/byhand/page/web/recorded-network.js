// A network too large to compute in the browser: values recorded by Python for a few images, the most active channels of each layer.

import { floats, halves } from './decode.js';
import { Tensor } from './runtime.js';

export class Recorded {
  constructor(spec, images) {
    this.spec = spec;
    this.images = images;
    this.off = new Map();
    this.grads = this.tensors = {};
  }
  show(k) {
    // image k
    const { values, grads, logits } = this.images[k];
    this.tensors = this.read(values);
    this.grads = this.read(grads);
    this.logits = this.tensors[this.spec.logits] = new Tensor([1, this.spec.classes], floats(logits));
    return this.logits;
  }
  read(stored) {
    const made = {};
    for (const [name, text] of Object.entries(stored)) {
      const { shape, kept } = this.spec.kept[name];
      made[name] = Object.assign(new Tensor(shape, halves(text)), { kept });
    }
    return made;
  }
}
