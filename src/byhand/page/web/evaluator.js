// Evaluation of an edited network on the test images, in web workers if the browser allows them, else on the main thread.

import { normalize } from './decode.js';
import { argmax } from './dom.js';
import { hands } from './hands.js';
import { Network } from './network.js';

const MAX_WORKERS = 4;
const SLICE_MS = 14; // time on a thread before other tasks get their turn

const nextTask = () =>
  new Promise(done => {
    const { port1, port2 } = new MessageChannel(); // setTimeout waits longer: browsers clamp nested timers to 4 ms
    port1.onmessage = () => (port1.close(), done());
    port2.postMessage(0);
  });

// Predict the classes of images in slices of SLICE_MS, while `isCurrent()`; report(index of the slice's first image, classes).
async function predictInSlices(network, { images, normalization, channels, first }, isCurrent, report) {
  let predictions = [],
    sliceStart = performance.now();
  for (let k = 0; k < images.length; k++) {
    normalize(images[k], normalization, channels, network.input.data);
    predictions.push(argmax(network.forward(network.input.data).data));
    if (k < images.length - 1 && performance.now() - sliceStart < SLICE_MS) continue;
    report(first + k + 1 - predictions.length, predictions);
    predictions = [];
    await nextTask();
    if (!isCurrent()) return;
    sliceStart = performance.now();
  }
}

// The worker's side: it receives its images once, then parameters; a message with parameters starts a new run and ends the
// one before it.
export function serveWorker() {
  let network,
    job,
    latestRun = 0;
  globalThis.onmessage = ({ data }) => {
    if (data.images) {
      job = data;
      network = new Network(data.spec, hands);
      return;
    }
    const run = ++latestRun;
    network.setParameters(data.parameters);
    network.ablatedChannels = data.ablatedChannels;
    predictInSlices(
      network,
      job,
      () => run === latestRun,
      (at, predictions) => globalThis.postMessage({ run: data.run, first: at, predictions }),
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
    const { data: pageData, testImages } = this.page,
      count = Math.max(1, Math.min(MAX_WORKERS, navigator.hardwareConcurrency ?? 2, testImages.length));
    const code = new Blob([document.querySelector('script[type=module]').textContent], { type: 'text/javascript' });
    const address = URL.createObjectURL(code),
      imagesPerWorker = Math.ceil(testImages.length / count);
    return Array.from({ length: count }, (_, k) => {
      const worker = new Worker(address),
        images = testImages.slice(k * imagesPerWorker, (k + 1) * imagesPerWorker);
      const channels = pageData.samples.shape[2];
      worker.postMessage({
        spec: pageData.spec,
        normalization: pageData.normalization,
        channels,
        images,
        first: k * imagesPerWorker,
      });
      return worker;
    });
  }

  // Predict the classes of all test images with the current parameters; report(predictions by image, their number so far).
  // A new run ends the one before it.
  run(report) {
    const run = ++this.currentRun,
      { data: pageData, network, testImages } = this.page,
      predictions = new Array(testImages.length);
    let done = 0;
    const addPredictions = (first, batch) => {
      batch.forEach((prediction, k) => (predictions[first + k] = prediction));
      report(predictions, (done += batch.length));
    };
    try {
      this.workers ??= this.startWorkers();
    } catch {
      this.workers = []; // some browsers refuse workers to pages opened from disk
    }
    if (!this.workers.length) {
      const job = { images: testImages, normalization: pageData.normalization, channels: pageData.samples.shape[2], first: 0 };
      predictInSlices(network.withSharedParameters(), job, () => run === this.currentRun, addPredictions);
      return;
    }
    for (const worker of this.workers) {
      worker.onmessage = ({ data }) => {
        if (data.run === run && run === this.currentRun) addPredictions(data.first, data.predictions);
      };
      worker.postMessage({ run, parameters: network.parameters(), ablatedChannels: network.ablatedChannels });
    }
  }
}
