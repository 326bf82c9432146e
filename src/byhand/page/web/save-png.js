// Exports the layer view as one PNG.

import { element } from './dom.js';

const SCALE = 2,
  EDGE = 24,
  HEAD = 64;

export function save(page) {
  const layers = document.getElementById('layers'),
    style = getComputedStyle(document.documentElement),
    of = name => style.getPropertyValue(name).trim();
  const first = layers.getBoundingClientRect(),
    wide = layers.scrollWidth,
    tall = layers.scrollHeight;
  const canvas = element('canvas', { width: SCALE * (wide + 2 * EDGE), height: SCALE * (tall + HEAD + EDGE) }),
    context = canvas.getContext('2d');
  context.scale(SCALE, SCALE);
  Object.assign(context, { fillStyle: of('--paper'), imageSmoothingEnabled: false });
  context.fillRect(0, 0, wide + 2 * EDGE, tall + HEAD + EDGE);
  const write = (text, x, y, font, color) => {
    Object.assign(context, { font: `${font} system-ui, sans-serif`, fillStyle: of(color) });
    context.fillText(text, x, y);
  };
  write(page.given.title, EDGE, 34, '600 17px', '--ink');
  const at = box => [box.left - first.left + layers.scrollLeft + EDGE, box.top - first.top + HEAD];
  for (const label of layers.querySelectorAll('h3, p, .caption')) {
    const [x, y] = at(label.getBoundingClientRect()),
      heading = label.tagName === 'H3';
    write(label.textContent, x, y + 13, heading ? '600 13px' : '12px', heading ? '--ink' : '--soft');
  }
  for (const map of layers.querySelectorAll('canvas')) {
    const box = map.getBoundingClientRect();
    context.drawImage(map, ...at(box), box.width, box.height);
  }
  canvas.toBlob(blob => {
    const link = element('a', {
      href: URL.createObjectURL(blob),
      download: `${page.given.title.replace(/[^\p{L}\p{N}]+/gu, '-')}.png`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
