// Edits of the network: changed weights and ablated channels, with undo.

export class WeightEdits {
  constructor(page) {
    this.page = page;
    this.history = []; // oldest first: { name, index, before, value } of a weight, { output, channel } of an ablation
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

  // Ablate a channel, or restore it.
  toggleChannel(output, channel) {
    const { ablatedChannels } = this.page.network,
      ablated = ablatedChannels.get(output) ?? new Set();
    if (!ablated.delete(channel)) ablated.add(channel);
    if (ablated.size) ablatedChannels.set(output, ablated);
    else ablatedChannels.delete(output);
  }

  // Toggle a channel as an edit that can be undone.
  toggle(output, channel) {
    this.toggleChannel(output, channel);
    const last = this.history[this.history.length - 1];
    if (last?.output === output && last.channel === channel)
      this.history.pop(); // toggled twice in a row: no edit
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

  // Apply the weight edits to the parameters of another snapshot.
  reapply() {
    for (const edit of this.history)
      if (edit.name) {
        const { data } = this.page.network.tensors[edit.name];
        edit.before = data[edit.index];
        data[edit.index] = edit.value;
      }
  }
}
