// Event listeners: keys, settings, files, buttons.

import { byId } from './dom.js';
import { drawNumber } from './panels.js';
import { savePng } from './save-png.js';

export function addListeners(page) {
  addEventListener('keydown', event => {
    const typing = event.target.closest?.('input, select, textarea');
    if (event.key === 'Escape') {
      page.pinned = false;
      drawNumber(page);
    }
    if ((event.ctrlKey || event.metaKey) && event.key === 'z' && !typing) {
      event.preventDefault();
      page.edits.undo();
    }
  });
  for (const group of document.querySelectorAll('.choice'))
    group.addEventListener('click', event => {
      const { value } = event.target.closest('button') ?? {};
      if (!value) return;
      page.settings[group.dataset.setting] = value;
      page.rebuild();
    });
  if (page.computes) {
    byId('clear').addEventListener('click', () => {
      page.drawingPad.clear();
      page.onStroke();
    });
    byId('center').addEventListener('change', () => {
      if (page.sampleIndex === null) page.onStroke();
    });
    byId('ink').addEventListener('input', event => {
      page.drawingPad.color = event.target.value;
    });
    for (const input of document.querySelectorAll('input[type=file]'))
      input.addEventListener('change', () => {
        const [file] = input.files;
        input.value = ''; // or choosing the same file again fires no event
        if (file) page.openFile(file);
      });
    addEventListener('dragover', event => {
      event.preventDefault();
      document.body.classList.add('dragging');
    });
    addEventListener('dragleave', () => document.body.classList.remove('dragging'));
    addEventListener('drop', event => {
      event.preventDefault();
      document.body.classList.remove('dragging');
      if (event.dataTransfer.files.length) page.openFile(event.dataTransfer.files[0]);
    });
  }
  byId('arithmetic').addEventListener('focusin', event => {
    if (event.target.matches('input')) page.pinned = true;
  });
  byId('more-samples').addEventListener('click', () => {
    page.nextSamples();
  });
  byId('save').addEventListener('click', () => savePng(page));
  byId('print').addEventListener('click', () => print());
  byId('reload').addEventListener('click', () => location.reload());
  if (page.data.live) addEventListener('focus', () => location.reload());
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  scheme.addEventListener('change', () => {
    page.settings.theme = scheme.matches ? 'dark' : 'light';
    page.rebuild();
  });
}
