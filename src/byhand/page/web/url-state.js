// The state of the page in the URL fragment: a link restores the view. Links are untrusted: every field is validated.

import { product } from './runtime.js';

const hex = bytes => Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');

export function writeUrl(page) {
  const { settings, selection, data } = page,
    fields = new URLSearchParams();
  for (const [name, value] of Object.entries(settings)) if (value !== page.defaultSettings[name]) fields.set(name, value);
  if (page.sampleIndex !== null) fields.set('image', page.sampleIndex);
  else if (page.pixels && page.pixels.length <= 1024) fields.set('drawn', hex(page.pixels));
  if (page.assumedLabel !== undefined) fields.set('truth', page.assumedLabel ?? '');
  fields.set('at', [selection.layer, selection.channel, selection.row, selection.column].join('.'));
  if (page.selectedWeight) fields.set('weight', [page.selectedWeight.name, page.selectedWeight.index].join('.'));
  if (page.inputChannel) fields.set('input', page.inputChannel);
  if (page.snapshot !== data.snapshots.length) fields.set('snapshot', page.snapshot);
  const edits = page.edits.history.map(edit =>
    edit.output ? `${edit.output}.${edit.channel}` : `${edit.name}.${edit.index}.${edit.value}`,
  );
  if (edits.length) fields.set('edits', edits.join(' '));
  history.replaceState(null, '', `#${fields}`);
}

// An integer from 0 to size - 1, else null.
const parseIndex = (text, size) => {
  const value = Number(text);
  return text !== null && text !== '' && Number.isInteger(value) && value >= 0 && value < size ? value : null;
};

// Restore the state; called before the page is built.
export function readUrl(page) {
  const fields = new URLSearchParams(location.hash.slice(1)),
    { data, settings } = page;
  for (const [name, values] of Object.entries({
    mode: ['forward', 'backward'],
    scale: ['map', 'layer', 'all'],
    language: ['en', 'zh'],
    theme: ['light', 'dark'],
  })) {
    if (values.includes(fields.get(name))) settings[name] = fields.get(name);
  }
  page.sampleIndex = parseIndex(fields.get('image'), data.samples.count) ?? (data.samples.count ? 0 : null);
  const drawn = fields.get('drawn'),
    pixelCount = product(data.samples.shape);
  if (drawn?.length === 2 * pixelCount && /^[0-9a-f]+$/.test(drawn)) {
    page.sampleIndex = null;
    page.pixels = Uint8ClampedArray.from({ length: pixelCount }, (_, k) => parseInt(drawn.slice(2 * k, 2 * k + 2), 16));
  }
  if (fields.has('truth')) page.assumedLabel = parseIndex(fields.get('truth'), data.classes.length);
  page.snapshot = parseIndex(fields.get('snapshot'), data.snapshots.length) ?? data.snapshots.length;
  page.inputChannel = parseIndex(fields.get('input'), 1e5) ?? 0;
  const [layer, ...position] = (fields.get('at') ?? '').split('.');
  if (
    data.spec.nodes.some(node => node.output === layer) &&
    position.length === 3 &&
    position.every(number => parseIndex(number, 1e7) !== null)
  ) {
    const [channel, row, column] = position.map(Number);
    page.selection = { layer, channel, row, column };
    page.pinned = true;
  }
  const [weight, weightIndex] = (fields.get('weight') ?? '').split('.'),
    weightShape = data.spec.parameters?.[weight]?.shape;
  if (weightShape && parseIndex(weightIndex, product(weightShape)) !== null)
    page.selectedWeight = { name: weight, index: Number(weightIndex) };
  for (const text of (fields.get('edits') ?? '').split(' ').filter(Boolean)) {
    const [name, index, ...value] = text.split('.'),
      shape = data.spec.parameters?.[name]?.shape,
      activationShape = data.spec.values?.[name];
    if (shape && parseIndex(index, product(shape)) !== null && Number.isFinite(Number(value.join('.'))))
      page.pendingEdits.push({ name, index: Number(index), value: Number(value.join('.')) });
    else if (activationShape && parseIndex(index, activationShape[activationShape.length - 1]) !== null)
      page.pendingEdits.push({ output: name, channel: Number(index) });
  }
}
