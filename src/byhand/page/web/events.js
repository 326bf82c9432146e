// Event listeners: keys, switches, files, buttons.

import { find } from './dom.js';
import { drawNumber } from './panels.js';
import { save } from './save-png.js';

export function addListeners(page) {
  addEventListener('keydown', event => {
    const typing = event.target.closest?.('input, select, textarea');
    if (event.key === 'Escape') {
      page.held = false;
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
      page.settings[group.dataset.of] = value;
      page.rebuild();
    });
  if (page.computes) {
    find('clear').addEventListener('click', () => {
      page.drawingPad.clear();
      page.drawn();
    });
    find('center').addEventListener('change', () => {
      if (page.image === null) page.drawn();
    });
    find('ink').addEventListener('input', event => {
      page.drawingPad.color = event.target.value;
    });
    for (const input of document.querySelectorAll('input[type=file]'))
      input.addEventListener('change', () => {
        const [file] = input.files;
        input.value = ''; // so that the same file can be chosen again
        if (file) page.open(file);
      });
    addEventListener('dragover', event => {
      event.preventDefault();
      document.body.classList.add('dragging');
    });
    addEventListener('dragleave', () => document.body.classList.remove('dragging'));
    addEventListener('drop', event => {
      event.preventDefault();
      document.body.classList.remove('dragging');
      if (event.dataTransfer.files.length) page.open(event.dataTransfer.files[0]);
    });
  }
  find('sum').addEventListener('focusin', event => {
    if (event.target.matches('input')) page.held = true;
  });
  find('others').addEventListener('click', () => {
    page.others();
  });
  find('save').addEventListener('click', () => save(page));
  find('print').addEventListener('click', () => print());
  find('reload').addEventListener('click', () => location.reload());
  if (page.given.live) addEventListener('focus', () => location.reload());
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  scheme.addEventListener('change', () => {
    page.settings.theme = scheme.matches ? 'dark' : 'light';
    page.rebuild();
  });
}
