// A trace of the loops for one number: the lines that ran, with the values they read and wrote.
//
// A translated hand calls `enter`, `next` and `leave` around its loops, `read` and `made` around its assignments, and
// `stored` where it writes into an array. If rounds of a loop wrote the wanted number, only those are kept; otherwise all
// rounds are, since they are the terms of the sum.

import { Place } from './runtime.js';

const MAX_ROUNDS = { inner: 1200, outer: 40 }; // kept of an innermost loop, of other loops, where no round wrote the number

const still = value => (value instanceof Place ? value.tuple() : value); // a Place moves on, its recorded copy stays

export class LineTracer {
  constructor(array, at, ranges = new Map()) {
    // of array.data[at]; ranges: by array, [first, end] of its places that matter
    this.array = array;
    this.at = at;
    this.ranges = new Map([...ranges, [array, [at, at + 1]]]);
    this.top = { line: 0, rounds: [], hits: [], count: 0, now: this.round() };
    this.stack = [this.top];
  }
  round(names = {}) {
    return { names, steps: [], hit: false, loops: false };
  }
  first(array) {
    return this.ranges.get(array)?.[0] ?? 0;
  }
  end(array) {
    return this.ranges.get(array)?.[1] ?? array.size;
  }
  get loop() {
    return this.stack[this.stack.length - 1];
  }
  get steps() {
    return this.top.now.steps;
  }

  enter(line) {
    this.stack.push({ line, rounds: [], hits: [], count: 0, now: null });
  }
  next(names) {
    const { loop } = this;
    this.close(loop);
    loop.count++;
    loop.now = this.round(Object.fromEntries(Object.entries(names).map(([name, value]) => [name, still(value)])));
  }
  close(loop) {
    const { now } = loop;
    if (!now) return;
    if (now.hit) loop.hits.push(now);
    else if (!loop.hits.length && loop.rounds.length < (now.loops ? MAX_ROUNDS.outer : MAX_ROUNDS.inner)) loop.rounds.push(now);
    loop.now = null;
  }
  leave() {
    const loop = this.stack.pop();
    this.close(loop);
    const above = this.loop.now,
      hit = loop.hits.length > 0;
    above.loops = true;
    above.hit ||= hit;
    above.steps.push({ line: loop.line, rounds: hit ? loop.hits : loop.rounds, count: hit ? loop.hits.length : loop.count });
  }
  read(line, numbers) {
    this.step = {
      line,
      hit: false,
      missed: false,
      read: numbers.map(still),
    };
  }
  made(...values) {
    if (this.step.hit || !this.step.missed) this.loop.now.steps.push({ ...this.step, made: values });
  }
  stored(array, at) {
    // a write to another array is not recorded
    if (array === this.array && at === this.at) this.loop.now.hit = this.step.hit = true;
    else this.step.missed = true;
  }
  filled(array) {
    if (array === this.array) this.loop.now.hit = true;
  }
}
