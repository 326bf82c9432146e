// Evaluates an edited network on the test images, in web workers where the browser has them, else in slices on the main thread.

import { scaled } from './decode.js';
import { top } from './dom.js';
import { hands } from './hands.js';
import { Network } from './network.js';

const WORKERS = 4; // at most
const SLICE = 14; // milliseconds of answers before others may speak

const pause = () =>
  new Promise(done => {
    const { port1, port2 } = new MessageChannel(); // a timer would wait for longer
    port1.onmessage = () => (port1.close(), done());
    port2.postMessage(0);
  });

// Answer images, a few at a time, as long as `isCurrent()`; report(the first one's number, the predicted classes).
async function answer(network, { images, scale, channels, first }, isCurrent, report) {
  let predictions = [],
    begun = performance.now();
  for (let k = 0; k < images.length; k++) {
    scaled(images[k], scale, channels, network.input.d);
    predictions.push(top(network.forward(network.input.d).d));
    if (k < images.length - 1 && performance.now() - begun < SLICE) continue;
    report(first + k + 1 - predictions.length, predictions);
    predictions = [];
    await pause();
    if (!isCurrent()) return;
    begun = performance.now();
  }
}

// What a worker does: it is sent its images once, and then numbers, of which the latest count.
export function serve() {
  let network,
    given,
    latest = 0;
  globalThis.onmessage = ({ data }) => {
    if (data.images) {
      given = data;
      network = new Network(data.spec, hands);
      return;
    }
    const mine = ++latest;
    network.take(data.numbers);
    network.off = data.off;
    answer(
      network,
      given,
      () => mine === latest,
      (at, predictions) => globalThis.postMessage({ run: data.run, at, predictions }),
    );
  };
}

export class Evaluator {
  constructor(page) {
    this.page = page;
    this.pendingEdits = 0;
    this.workers = null;
  }

  stop() {
    this.pendingEdits++;
  }

  startWorkers() {
    const { given, tests } = this.page,
      count = Math.max(1, Math.min(WORKERS, navigator.hardwareConcurrency ?? 2, tests.length));
    const code = new Blob([document.querySelector('script[type=module]').textContent], { type: 'text/javascript' });
    const address = URL.createObjectURL(code),
      share = Math.ceil(tests.length / count);
    return Array.from({ length: count }, (_, k) => {
      const worker = new Worker(address),
        images = tests.slice(k * share, (k + 1) * share);
      worker.postMessage({ spec: given.spec, scale: given.scale, channels: given.samples.shape[2], images, first: k * share });
      return worker;
    });
  }

  // Answer all test images with the numbers of now; report(answers by image, how many there are so far). The last one latest counts.
  run(report) {
    const run = ++this.pendingEdits,
      { given, network, tests } = this.page,
      predictions = new Array(tests.length);
    let done = 0;
    const take = (at, some) => {
      some.forEach((one, k) => (predictions[at + k] = one));
      report(predictions, (done += some.length));
    };
    try {
      this.workers ??= this.startWorkers();
    } catch {
      this.workers = []; // a browser that lets no page from disk have workers
    }
    if (!this.workers.length) {
      const here = { images: tests, scale: given.scale, channels: given.samples.shape[2], first: 0 };
      answer(network.twin(), here, () => run === this.pendingEdits, take);
      return;
    }
    for (const worker of this.workers) {
      worker.onmessage = ({ data }) => {
        if (data.run === run && run === this.pendingEdits) take(data.at, data.predictions);
      };
      worker.postMessage({ run, numbers: network.numbers(), off: network.off });
    }
  }
}
