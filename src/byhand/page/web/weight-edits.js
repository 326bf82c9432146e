// Edits of the network: a changed weight or a switched-off channel, their effect on the test images, and undo.

export class WeightEdits {
  constructor(page) {
    this.page = page;
    this.history = []; // what was done, oldest first
  }
  get modified() {
    return this.history.length > 0;
  }

  edit(name, index, value) {
    if (!Number.isFinite(value)) return this.page.draw();
    const { data } = this.page.network.tensors[name];
    this.history.push({ name, index, before: data[index], value });
    data[index] = value;
    return this.page.onEdit();
  }

  toggleChannel(output, channel) {
    // a channel: off, or on again
    const { ablatedChannels } = this.page.network,
      ablated = ablatedChannels.get(output) ?? new Set();
    if (!ablated.delete(channel)) ablated.add(channel);
    if (ablated.size) ablatedChannels.set(output, ablated);
    else ablatedChannels.delete(output);
  }

  toggle(output, channel) {
    this.toggleChannel(output, channel);
    const last = this.history[this.history.length - 1];
    if (last?.output === output && last.channel === channel)
      this.history.pop(); // on again is as it was
    else this.history.push({ output, channel });
    this.page.onEdit();
  }

  revertLast() {
    const last = this.history.pop();
    if (last.output) this.toggleChannel(last.output, last.channel);
    else this.page.network.tensors[last.name].data[last.index] = last.before;
  }

  undo() {
    if (!this.modified) return;
    this.revertLast();
    this.page.onEdit();
  }

  reset() {
    while (this.modified) this.revertLast();
    this.page.onEdit();
  }

  reapply() {
    // on other numbers: those of another snapshot
    for (const edit of this.history)
      if (edit.name) {
        const { data } = this.page.network.tensors[edit.name];
        edit.before = data[edit.index];
        data[edit.index] = edit.value;
      }
  }
}
