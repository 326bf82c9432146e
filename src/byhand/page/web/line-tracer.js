// A trace of the loops for one number: the lines that ran, with the values they read and wrote.
//
// A translated hand calls `enter`, `next` and `leave` around its loops, `read` and `made` around its assignments, and
// `stored` where it writes into an array. If rounds of a loop wrote the wanted number, only those are kept; otherwise all
// rounds are, since they are the terms of the sum.

import { NdIndex } from './runtime.js';

const MAX_ITERATIONS = { inner: 1200, outer: 40 }; // kept of an innermost loop, of other loops, where no round wrote the number

const copyIndex = value => (value instanceof NdIndex ? value.tuple() : value); // a Place moves on, its recorded copy stays

export class LineTracer {
  constructor(array, offset, ranges = new Map()) {
    // of array.data[at]; ranges: by array, [first, end] of its places that matter
    this.array = array;
    this.offset = offset;
    this.ranges = new Map([...ranges, [array, [offset, offset + 1]]]);
    this.root = { line: 0, iterations: [], targetIterations: [], count: 0, current: this.newIteration() };
    this.stack = [this.root];
  }
  newIteration(names = {}) {
    return { names, steps: [], wroteTarget: false, containsLoops: false };
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
    return this.root.current.steps;
  }

  enterLoop(line) {
    this.stack.push({ line, iterations: [], targetIterations: [], count: 0, current: null });
  }
  nextIteration(names) {
    const { loop } = this;
    this.closeIteration(loop);
    loop.count++;
    loop.current = this.newIteration(
      Object.fromEntries(Object.entries(names).map(([name, value]) => [name, copyIndex(value)])),
    );
  }
  closeIteration(loop) {
    const { current: iteration } = loop;
    if (!iteration) return;
    if (iteration.wroteTarget) loop.targetIterations.push(iteration);
    else if (
      !loop.targetIterations.length &&
      loop.iterations.length < (iteration.containsLoops ? MAX_ITERATIONS.outer : MAX_ITERATIONS.inner)
    )
      loop.iterations.push(iteration);
    loop.current = null;
  }
  leaveLoop() {
    const loop = this.stack.pop();
    this.closeIteration(loop);
    const outer = this.loop.current,
      hit = loop.targetIterations.length > 0;
    outer.containsLoops = true;
    outer.wroteTarget ||= hit;
    outer.steps.push({
      line: loop.line,
      iterations: hit ? loop.targetIterations : loop.iterations,
      count: hit ? loop.targetIterations.length : loop.count,
    });
  }
  beginStatement(line, numbers) {
    this.statement = {
      line,
      wroteTarget: false,
      wroteOther: false,
      read: numbers.map(copyIndex),
    };
  }
  endStatement(...values) {
    if (this.statement.wroteTarget || !this.statement.wroteOther)
      this.loop.current.steps.push({ ...this.statement, written: values });
  }
  recordStore(array, offset) {
    // a write to another array is not recorded
    if (array === this.array && offset === this.offset) this.loop.current.wroteTarget = this.statement.wroteTarget = true;
    else this.statement.wroteOther = true;
  }
  recordFill(array) {
    if (array === this.array) this.loop.current.wroteTarget = true;
  }
}
