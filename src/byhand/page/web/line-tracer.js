// A trace of the loops for one target number: the lines that ran, with the values they read and wrote.
//
// A traced hand calls `enterLoop`, `nextIteration` and `leaveLoop` around its loops, `beginStatement` and `endStatement`
// around its assignments, `recordStore` where it writes an array element, and `recordFill` where it fills an array. If
// iterations of a loop wrote the target, only those are kept; otherwise all are kept, since they are the terms of its sum.

import { NdIndex } from './runtime.js';

// Iterations kept of an innermost loop and of other loops, if none of them wrote the target.
const MAX_ITERATIONS = { inner: 1200, outer: 40 };

// An NdIndex advances with its loop, so a copy is recorded.
const copyIndex = value => (value instanceof NdIndex ? value.tuple() : value);

export class LineTracer {
  // The target is array.data[offset]; ranges: by array, the [first, end) of the elements to loop over.
  constructor(array, offset, ranges = new Map()) {
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

  // A statement that only wrote elsewhere is not recorded.
  recordStore(array, offset) {
    if (array === this.array && offset === this.offset) this.loop.current.wroteTarget = this.statement.wroteTarget = true;
    else this.statement.wroteOther = true;
  }
  recordFill(array) {
    if (array === this.array) this.loop.current.wroteTarget = true;
  }
}
