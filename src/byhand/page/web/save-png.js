// Export of the layer view as one PNG.

import { element } from './dom.js';

const PIXEL_RATIO = 2,
  MARGIN_PIXELS = 24,
  TITLE_PIXELS = 64;

export function savePng(page) {
  const layers = document.getElementById('layers'),
    style = getComputedStyle(document.documentElement),
    cssVariable = name => style.getPropertyValue(name).trim();
  const origin = layers.getBoundingClientRect(),
    width = layers.scrollWidth,
    height = layers.scrollHeight;
  const canvas = element('canvas', {
      width: PIXEL_RATIO * (width + 2 * MARGIN_PIXELS),
      height: PIXEL_RATIO * (height + TITLE_PIXELS + MARGIN_PIXELS),
    }),
    context = canvas.getContext('2d');
  context.scale(PIXEL_RATIO, PIXEL_RATIO);
  Object.assign(context, { fillStyle: cssVariable('--paper'), imageSmoothingEnabled: false });
  context.fillRect(0, 0, width + 2 * MARGIN_PIXELS, height + TITLE_PIXELS + MARGIN_PIXELS);
  const drawText = (text, x, y, font, color) => {
    Object.assign(context, { font: `${font} system-ui, sans-serif`, fillStyle: cssVariable(color) });
    context.fillText(text, x, y);
  };
  drawText(page.data.title, MARGIN_PIXELS, 34, '600 17px', '--text');
  const positionOf = box => [box.left - origin.left + layers.scrollLeft + MARGIN_PIXELS, box.top - origin.top + TITLE_PIXELS];
  for (const label of layers.querySelectorAll('h3, p, .caption')) {
    const [x, y] = positionOf(label.getBoundingClientRect()),
      heading = label.tagName === 'H3';
    drawText(label.textContent, x, y + 13, heading ? '600 13px' : '12px', heading ? '--text' : '--muted');
  }
  for (const map of layers.querySelectorAll('canvas')) {
    const box = map.getBoundingClientRect();
    context.drawImage(map, ...positionOf(box), box.width, box.height);
  }
  canvas.toBlob(blob => {
    const link = element('a', {
      href: URL.createObjectURL(blob),
      download: `${page.data.title.replace(/[^\p{L}\p{N}]+/gu, '-')}.png`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
