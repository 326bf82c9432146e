// Evaluates an edited network on the test images, in web workers where the browser has them, else in slices on the main thread.

import { scaled } from './decode.js';
import { top } from './dom.js';
import { hands } from './hands.js';
import { Network } from './network.js';

const MAX_WORKERS = 4;
const SLICE_MS = 14; // of work on the main thread between two pauses for events

const pause = () =>
  new Promise(done => {
    const { port1, port2 } = new MessageChannel(); // a timer would wait for longer
    port1.onmessage = () => (port1.close(), done());
    port2.postMessage(0);
  });

// Predict the classes of images in slices of SLICE_MS, while `isCurrent()`; report(index of the slice's first image, classes).
async function answer(network, { images, scale, channels, first }, isCurrent, report) {
  let predictions = [],
    begun = performance.now();
  for (let k = 0; k < images.length; k++) {
    scaled(images[k], scale, channels, network.input.data);
    predictions.push(top(network.forward(network.input.data).data));
    if (k < images.length - 1 && performance.now() - begun < SLICE_MS) continue;
    report(first + k + 1 - predictions.length, predictions);
    predictions = [];
    await pause();
    if (!isCurrent()) return;
    begun = performance.now();
  }
}

// The worker's side: it receives its images once, then weights; a message with weights supersedes the run before it.
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
    this.currentRun = 0;
    this.workers = null;
  }

  stop() {
    this.currentRun++;
  }

  startWorkers() {
    const { given, tests } = this.page,
      count = Math.max(1, Math.min(MAX_WORKERS, navigator.hardwareConcurrency ?? 2, tests.length));
    const code = new Blob([document.querySelector('script[type=module]').textContent], { type: 'text/javascript' });
    const address = URL.createObjectURL(code),
      imagesPerWorker = Math.ceil(tests.length / count);
    return Array.from({ length: count }, (_, k) => {
      const worker = new Worker(address),
        images = tests.slice(k * imagesPerWorker, (k + 1) * imagesPerWorker);
      const channels = given.samples.shape[2];
      worker.postMessage({ spec: given.spec, scale: given.scale, channels, images, first: k * imagesPerWorker });
      return worker;
    });
  }

  // Predict the classes of all test images with the current weights; report(predictions by image, their number so far).
  // A new run supersedes the one before it.
  run(report) {
    const run = ++this.currentRun,
      { given, network, tests } = this.page,
      predictions = new Array(tests.length);
    let done = 0;
    const take = (at, batch) => {
      batch.forEach((prediction, k) => (predictions[at + k] = prediction));
      report(predictions, (done += batch.length));
    };
    try {
      this.workers ??= this.startWorkers();
    } catch {
      this.workers = []; // a browser that lets no page from disk have workers
    }
    if (!this.workers.length) {
      const here = { images: tests, scale: given.scale, channels: given.samples.shape[2], first: 0 };
      answer(network.twin(), here, () => run === this.currentRun, take);
      return;
    }
    for (const worker of this.workers) {
      worker.onmessage = ({ data }) => {
        if (data.run === run && run === this.currentRun) take(data.at, data.predictions);
      };
      worker.postMessage({ run, numbers: network.numbers(), off: network.off });
    }
  }
}
