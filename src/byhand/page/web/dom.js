// DOM helpers. All text is inserted as text nodes, never as HTML: names of classes and files are untrusted.

export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'style') node.style.cssText = value;
    else if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key in node && key !== 'list') node[key] = value;
    else if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

export const byId = id => document.getElementById(id);
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
export const clampIndex = (value, size) => clamp(Math.floor(value), 0, size - 1);
export const argmax = numbers => {
  let best = 0;
  for (let i = 1; i < numbers.length; i++) if (numbers[i] > numbers[best]) best = i;
  return best;
};
export const labeled = (child, text) =>
  element('div', { className: 'labeled' }, child, element('div', { className: 'label' }, text));
export const operator = text => element('span', { className: 'operator', 'aria-hidden': 'true' }, text);
export const button = (text, onClick, attributes = {}) =>
  element('button', { type: 'button', className: 'plain', onclick: onClick, ...attributes }, text);

// The [row, column] of a canvas that the pointer is over.
export function pointerCell(event, target, rows, columns) {
  const box = target.getBoundingClientRect();
  return [
    clampIndex(((event.clientY - box.top) / box.height) * rows, rows),
    clampIndex(((event.clientX - box.left) / box.width) * columns, columns),
  ];
}
