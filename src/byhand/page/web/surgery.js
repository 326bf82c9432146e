// Surgery: a number of a kernel changed, a channel switched off; what it does to 1,000 images; and undo.

export class Surgery {
  constructor(page) {
    this.page = page;
    this.done = []; // what was done, oldest first
  }
  get touched() {
    return this.done.length > 0;
  }

  edit(name, index, value) {
    if (!Number.isFinite(value)) return this.page.draw();
    const { d } = this.page.network.tensors[name];
    this.done.push({ name, index, before: d[index], value });
    d[index] = value;
    return this.page.changed();
  }

  toggle(output, channel) {
    const { off } = this.page.network,
      set = off.get(output) ?? new Set();
    if (!set.delete(channel)) set.add(channel);
    if (set.size) off.set(output, set);
    else off.delete(output);
    const last = this.done[this.done.length - 1];
    if (last?.output === output && last.channel === channel)
      this.done.pop(); // on again is as it was
    else this.done.push({ output, channel });
    this.page.changed();
  }

  undo() {
    const last = this.done.pop();
    if (!last) return;
    if (last.output) {
      const { off } = this.page.network,
        set = off.get(last.output) ?? new Set();
      if (!set.delete(last.channel)) set.add(last.channel);
      if (set.size) off.set(last.output, set);
      else off.delete(last.output);
    } else this.page.network.tensors[last.name].d[last.index] = last.before;
    this.page.changed();
  }

  reset() {
    while (this.done.length) {
      const last = this.done.pop();
      if (!last.output) this.page.network.tensors[last.name].d[last.index] = last.before;
    }
    this.page.network.off.clear();
    this.page.changed();
  }

  again() {
    // on other numbers: those of another snapshot
    for (const one of this.done)
      if (one.name) {
        const { d } = this.page.network.tensors[one.name];
        one.before = d[one.index];
        d[one.index] = one.value;
      }
  }
}
