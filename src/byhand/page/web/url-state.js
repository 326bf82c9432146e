// The state of the page in the URL fragment, so that a link restores the view. Every name and number is validated.

import { product } from './runtime.js';

const hex = bytes => Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');

export function writeUrl(page) {
  const { settings, at, given } = page,
    parts = new URLSearchParams();
  for (const [name, value] of Object.entries(settings)) if (value !== page.first[name]) parts.set(name, value);
  if (page.image !== null) parts.set('image', page.image);
  else if (page.pixels && page.pixels.length <= 1024) parts.set('drawn', hex(page.pixels));
  if (page.assumedLabel !== undefined) parts.set('truth', page.assumedLabel ?? '');
  parts.set('at', [at.layer, at.channel, at.row, at.column].join('.'));
  if (page.weightAt) parts.set('weight', [page.weightAt.name, page.weightAt.index].join('.'));
  if (page.inputChannel) parts.set('input', page.inputChannel);
  if (page.snapshot !== given.snapshots.length) parts.set('snapshot', page.snapshot);
  const done = page.edits.done.map(edit =>
    edit.output ? `${edit.output}.${edit.channel}` : `${edit.name}.${edit.index}.${edit.value}`,
  );
  if (done.length) parts.set('edits', done.join(' '));
  history.replaceState(null, '', `#${parts}`);
}

const whole = (text, size) => {
  // a number from 0 to size - 1, else null
  const value = Number(text);
  return text !== null && text !== '' && Number.isInteger(value) && value >= 0 && value < size ? value : null;
};

export function readUrl(page) {
  // before the page is built
  const parts = new URLSearchParams(location.hash.slice(1)),
    { given, settings } = page;
  for (const [name, values] of Object.entries({
    mode: ['forward', 'backward'],
    scale: ['map', 'layer', 'all'],
    language: ['en', 'zh'],
    theme: ['light', 'dark'],
  })) {
    if (values.includes(parts.get(name))) settings[name] = parts.get(name);
  }
  page.image = whole(parts.get('image'), given.samples.count) ?? (given.samples.count ? 0 : null);
  const drawn = parts.get('drawn'),
    size = product(given.samples.shape);
  if (drawn?.length === 2 * size && /^[0-9a-f]+$/.test(drawn)) {
    page.image = null;
    page.pixels = Uint8ClampedArray.from({ length: size }, (_, k) => parseInt(drawn.slice(2 * k, 2 * k + 2), 16));
  }
  if (parts.has('truth')) page.assumedLabel = whole(parts.get('truth'), given.classes.length);
  page.snapshot = whole(parts.get('snapshot'), given.snapshots.length) ?? given.snapshots.length;
  page.inputChannel = whole(parts.get('input'), 1e5) ?? 0;
  const [layer, ...place] = (parts.get('at') ?? '').split('.');
  if (
    given.spec.nodes.some(node => node.output === layer) &&
    place.length === 3 &&
    place.every(number => whole(number, 1e7) !== null)
  ) {
    const [channel, row, column] = place.map(Number);
    page.at = { layer, channel, row, column };
    page.held = true;
  }
  const [weight, index] = (parts.get('weight') ?? '').split('.'),
    shape = given.spec.numbers?.[weight]?.shape;
  if (shape && whole(index, product(shape)) !== null) page.weightAt = { name: weight, index: Number(index) };
  for (const text of (parts.get('edits') ?? '').split(' ').filter(Boolean)) {
    const [name, index, ...value] = text.split('.'),
      found = given.spec.numbers?.[name]?.shape,
      map = given.spec.values?.[name];
    if (found && whole(index, product(found)) !== null && Number.isFinite(Number(value.join('.'))))
      page.pendingEdits.push({ name, index: Number(index), value: Number(value.join('.')) });
    else if (map && whole(index, map[map.length - 1]) !== null) page.pendingEdits.push({ output: name, channel: Number(index) });
  }
}
