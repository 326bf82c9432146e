// A network that is too large to run in the browser: Python recorded the most active channels of each layer for some images.

import { decodeFloat32, decodeFloat16 } from './decode.js';
import { Tensor } from './runtime.js';

export class RecordedNetwork {
  constructor(spec, images) {
    this.spec = spec;
    this.images = images;
    this.ablatedChannels = new Map();
    this.grads = this.tensors = {};
  }

  // Decode the recording of image k; return its logits.
  show(k) {
    const { values, grads, logits } = this.images[k];
    this.tensors = this.decodeTensors(values);
    this.grads = this.decodeTensors(grads);
    this.logits = this.tensors[this.spec.logits] = new Tensor([1, this.spec.classes], decodeFloat32(logits));
    return this.logits;
  }
  decodeTensors(stored) {
    const tensors = {};
    for (const [name, text] of Object.entries(stored)) {
      const { shape, kept } = this.spec.kept[name];
      tensors[name] = Object.assign(new Tensor(shape, decodeFloat16(text)), { kept });
    }
    return tensors;
  }
}
