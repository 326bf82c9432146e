// DOM helpers. Names of classes and files are inserted as text, never as HTML.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'style') made.style.cssText = value;
    else if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (key in made && key !== 'list') made[key] = value;
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

export const find = id => document.getElementById(id);
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
export const clampIndex = (value, size) => clamp(Math.floor(value), 0, size - 1);
export const top = numbers => {
  let at = 0;
  for (let i = 1; i < numbers.length; i++) if (numbers[i] > numbers[at]) at = i;
  return at;
};
export const labeled = (child, text) =>
  element('div', { className: 'labeled' }, child, element('div', { className: 'label' }, text));
export const sign = text => element('span', { className: 'sign', 'aria-hidden': 'true' }, text);
export const button = (text, act, more = {}) =>
  element('button', { type: 'button', className: 'plain', onclick: act, ...more }, text);

export function where(event, target, columns, rows) {
  // the (row, column) of a canvas that a pointer is over
  const box = target.getBoundingClientRect();
  return [
    clampIndex(((event.clientY - box.top) / box.height) * rows, rows),
    clampIndex(((event.clientX - box.left) / box.width) * columns, columns),
  ];
}
