// Lets a changed network answer many images: in workers beside the page, which stays quick, or where there are none in the page.

import { scaled } from './data.js';
import { top } from './element.js';
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

// Answer images, a few at a time, as long as `goes()`; tell(the first one's number, the classes said).
async function answer(network, { images, scale, channels, first }, goes, tell) {
  let said = [],
    begun = performance.now();
  for (let k = 0; k < images.length; k++) {
    scaled(images[k], scale, channels, network.input.d);
    said.push(top(network.forward(network.input.d).d));
    if (k < images.length - 1 && performance.now() - begun < SLICE) continue;
    tell(first + k + 1 - said.length, said);
    said = [];
    await pause();
    if (!goes()) return;
    begun = performance.now();
  }
}

// What a worker does: it is sent its images once, and then numbers, of which the latest count.
export function serve() {
  let network,
    given,
    asked = 0;
  globalThis.onmessage = ({ data }) => {
    if (data.images) {
      given = data;
      network = new Network(data.spec, hands);
      return;
    }
    const mine = ++asked;
    network.take(data.numbers);
    network.off = data.off;
    answer(
      network,
      given,
      () => mine === asked,
      (at, said) => globalThis.postMessage({ run: data.run, at, said }),
    );
  };
}

export class Judge {
  constructor(page) {
    this.page = page;
    this.asked = 0;
    this.workers = null;
  }

  stop() {
    this.asked++;
  }

  hire() {
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

  // Answer all test images with the numbers of now; tell(answers by image, how many there are so far). The last one asked counts.
  run(tell) {
    const run = ++this.asked,
      { given, network, tests } = this.page,
      said = new Array(tests.length);
    let done = 0;
    const take = (at, some) => {
      some.forEach((one, k) => (said[at + k] = one));
      tell(said, (done += some.length));
    };
    try {
      this.workers ??= this.hire();
    } catch {
      this.workers = []; // a browser that lets no page from disk have workers
    }
    if (!this.workers.length) {
      const here = { images: tests, scale: given.scale, channels: given.samples.shape[2], first: 0 };
      answer(network.twin(), here, () => run === this.asked, take);
      return;
    }
    for (const worker of this.workers) {
      worker.onmessage = ({ data }) => {
        if (data.run === run && run === this.asked) take(data.at, data.said);
      };
      worker.postMessage({ run, numbers: network.numbers(), off: network.off });
    }
  }
}
