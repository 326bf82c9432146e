// Edits of the network: a changed weight or a switched-off channel, their effect on the test images, and undo.

export class WeightEdits {
  constructor(page) {
    this.page = page;
    this.done = []; // what was done, oldest first
  }
  get touched() {
    return this.done.length > 0;
  }

  edit(name, index, value) {
    if (!Number.isFinite(value)) return this.page.draw();
    const { data } = this.page.network.tensors[name];
    this.done.push({ name, index, before: data[index], value });
    data[index] = value;
    return this.page.changed();
  }

  flip(output, channel) {
    // a channel: off, or on again
    const { off } = this.page.network,
      set = off.get(output) ?? new Set();
    if (!set.delete(channel)) set.add(channel);
    if (set.size) off.set(output, set);
    else off.delete(output);
  }

  toggle(output, channel) {
    this.flip(output, channel);
    const last = this.done[this.done.length - 1];
    if (last?.output === output && last.channel === channel)
      this.done.pop(); // on again is as it was
    else this.done.push({ output, channel });
    this.page.changed();
  }

  takeBack() {
    const last = this.done.pop();
    if (last.output) this.flip(last.output, last.channel);
    else this.page.network.tensors[last.name].data[last.index] = last.before;
  }

  undo() {
    if (!this.touched) return;
    this.takeBack();
    this.page.changed();
  }

  reset() {
    while (this.touched) this.takeBack();
    this.page.changed();
  }

  again() {
    // on other numbers: those of another snapshot
    for (const edit of this.done)
      if (edit.name) {
        const { data } = this.page.network.tensors[edit.name];
        edit.before = data[edit.index];
        data[edit.index] = edit.value;
      }
  }
}
