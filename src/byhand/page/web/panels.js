// The panels below the layers: the explanation of one number, one filter, Grad-CAM, edits of the network.

import { drawCam, gradCam, laid } from './grad-cam.js';
import { filterWhole, weightWhole } from './channels.js';
import { halves } from './decode.js';
import { button, element, find } from './dom.js';
import { TRACE_MAX_MACS, traceBackward, code, traceForward } from './explain-number.js';
import { digits, grouped, percent } from './paint.js';
import { grid, pictureOf, result } from './arithmetic.js';

const about = text => element('p', { className: 'about' }, text);

function placeIn(shape, index) {
  // where a number stands: its index on each axis
  const at = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    at.unshift(index % shape[axis]);
    index = Math.floor(index / shape[axis]);
  }
  return at.join(', ');
}

// The lines, so far down that those with many terms are seen.
function showCode(...blocks) {
  find('code').replaceChildren(...blocks);
  for (const block of find('code').querySelectorAll('pre')) {
    const term = block.querySelector('mark'),
      below = term ? term.offsetTop - block.offsetTop : 0;
    if (below > 0.8 * block.clientHeight) block.scrollTop = below - 0.4 * block.clientHeight;
  }
}

export function drawNumber(page) {
  const { words, network, at, held, given } = page,
    column = page.column(at.layer),
    { node } = column;
  const index = column.index(at.channel, at.row, at.column),
    array = page.shownOf(column.name);
  const place = column.maps
    ? `${words.channel} ${column.channelName(at.channel)}, ${words.row} ${at.row}, ${words.column} ${at.column}`
    : `${words.number} ${index}`;
  const name = `${column.title}, ${node.name}: ${place}`,
    why = page.computes ? words.why : words.recordedNumber;
  find('where').textContent = page.backwards ? words.gradientOf(name) : name;
  find('why').textContent = held ? `${why} · ${words.held}` : why;
  drawField(page, column);
  if (!page.computes) {
    find('sum').replaceChildren(result(array?.data[index] ?? 0, node.name));
    showCode();
  } else if (page.backwards) {
    find('sum').replaceChildren(...backwards(page, node, array?.data[index] ?? 0));
    showCode();
  } else {
    find('sum').replaceChildren(...pictureOf(page, node, at.channel, at.row, at.column));
    const steps = traceForward(network, node, array, index);
    showCode(steps ? code(given.sources[node.forward], steps, words) : about(words.tooMany));
  }
}

function drawField(page, column) {
  // what the pointed number sees of the image
  const { given, at } = page,
    centers = given.fieldCenters[column.name],
    { field } = column.row,
    [height, width] = given.samples.shape;
  const whole = [0, 100],
    edges = ([start, step], k, size, all) =>
      [(size - 1) / 2, -(size + 1) / 2].map(half => 100 * Math.min(1, Math.max(0, (start + step * k - half) / all)));
  const [up, down] = centers && column.maps ? edges(centers.down, at.row, field[0], height) : whole;
  const [left, right] = centers && column.maps ? edges(centers.across, at.column, field[1], width) : whole;
  find('field').style.cssText = `top: ${up}%; left: ${left}%; width: ${right - left}%; height: ${down - up}%`;
}

// Backward: the number's gradient, and those of the weights that made the number, to choose from.
function backwards(page, node, value) {
  const { words, network, weightAt, at, inputChannel } = page,
    name = node.reads[1];
  const weight = ['conv2d', 'linear'].includes(node.op) ? network.grads[name] : null,
    chosen = weight && weightAt?.name === name;
  if (chosen) find('where').textContent = words.gradientOf(`${name}[${placeIn(weight.shape, weightAt.index)}]`);
  if (!weight) return [result(value, words.gradientOf(node.name), 4)];
  if (node.op === 'linear') {
    const shown = chosen
      ? result(weight.data[weightAt.index], words.gradientOf(name), 4)
      : result(value, words.gradientOf(node.name), 4);
    return [shown, linearWeights(page, node, weight, at.channel)];
  }
  const [rows, columns, depth, filters] = weight.shape,
    c = Math.min(inputChannel, depth - 1);
  const index = (r, s) => ((r * columns + s) * depth + c) * filters + at.channel,
    spot = chosen ? Math.floor(weightAt.index / filters / depth) : -1;
  const values = Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, s) => weight.data[index(r, s)]));
  const choice = grid(values, `${words.weightGradient}${depth > 1 ? ` (${words.channel} ${c})` : ''}`, {
    best: chosen ? [Math.floor(spot / columns), spot % columns] : null,
    choose: (r, s) => page.chooseWeight(name, index(r, s)),
  });
  return chosen
    ? [choice, ...weightWhole(page, node, name, weightAt.index)]
    : [result(value, words.gradientOf(node.name), 4), choice];
}

function linearWeights(page, node, weight, k) {
  // of a fully connected layer: x times the gradient of the output
  const { words, network } = page,
    x = network.of(node.reads[0]),
    outputs = weight.shape[1],
    grad = network.grads[node.output].data[k];
  const order = Array.from(x.data, (_, d) => d)
    .sort((a, b) => Math.abs(x.data[b]) - Math.abs(x.data[a]))
    .slice(0, 8);
  const head = element('tr', {}, ...[words.input, 'x', '∂L/∂y', '∂L/∂w'].map(text => element('th', { scope: 'col' }, text)));
  const rows = order.map(d =>
    element(
      'tr',
      {},
      ...[String(d), digits(x.data[d], 3), digits(grad, 4)].map(text => element('td', {}, text)),
      element(
        'td',
        {},
        button(digits(weight.data[d * outputs + k], 4), () => page.chooseWeight(node.reads[1], d * outputs + k)),
      ),
    ),
  );
  return element('table', {}, element('thead', {}, head), element('tbody', {}, ...rows));
}

export function drawLines(page) {
  // the lines that made a gradient
  const { words, network, given, weightAt, at } = page,
    column = page.column(at.layer),
    own = weightAt && column.node.reads.includes(weightAt.name);
  const name = own ? weightAt.name : column.name,
    index = own ? weightAt.index : column.index(at.channel, at.row, at.column);
  const readers = own ? [column.node] : network.readers(name),
    blocks = [];
  for (const node of readers) {
    const found =
      (given.rows[node.name]?.macs ?? 0) > TRACE_MAX_MACS ? { value: null, steps: null } : traceBackward(network, node, name, index);
    if (!found) continue;
    if (found.value !== null) blocks.push(about(`${words.readBy(node.name)}: ${digits(found.value, 4)}`));
    blocks.push(found.steps ? code(given.sources[node.backward], found.steps, words) : about(words.tooMany));
  }
  showCode(...(blocks.length ? blocks : [about(words.none)]));
}

export function drawFilter(page) {
  const { words, at } = page,
    node = page.node(at.layer),
    shown = page.computes && !page.backwards && node?.op === 'conv2d';
  find('filter').hidden = !shown;
  if (!shown) return;
  const channel = Math.min(at.channel, page.network.tensors[node.output].shape[3] - 1);
  find('filter').replaceChildren(
    element('h2', {}, words.filterTitle(node.name, channel)),
    about(words.filterAbout),
    ...filterWhole(page, node, channel),
  );
}

export function showCam(page) {
  const { given, words, network } = page,
    { cam } = given,
    [height, width] = given.samples.shape;
  find('cam').hidden = !cam;
  if (!cam) return;
  const index = page.computes ? page.lossClass : page.prediction,
    [rows, columns] = given.rows[page.node(cam).name].shape;
  const values = page.computes
    ? gradCam(network.tensors[cam], network.score(index, cam)[cam])
    : halves(network.images[page.image].cam);
  page.laidCam = laid(values, rows, columns, given.fieldCenters[cam], height, width);
  drawCam(find('cam-canvas'), page.laidCam, page.pixels, given.samples.shape, given.ink);
  find('cam-about').textContent = words.camAbout(cam, given.classes[index]);
}

export function drawEdits(page) {
  if (!page.computes) return;
  const { words, edits, at, given, network, verdict } = page,
    column = page.column(at.layer),
    off = network.off.get(at.layer)?.has(at.channel);
  const change = button((off ? words.on : words.off)(column.node.name, at.channel), () => edits.toggle(at.layer, at.channel));
  const buttons = [
    column.maps ? change : null,
    button(words.undo, () => edits.undo(), { disabled: !edits.touched }),
    button(words.reset, () => edits.reset(), { disabled: !edits.touched }),
  ];
  const described = edit =>
    edit.output
      ? words.offOne(edit.output, edit.channel)
      : words.changedOne(
          edit.name,
          placeIn(given.spec.numbers[edit.name].shape, edit.index),
          digits(edit.before, 3),
          digits(edit.value, 3),
        );
  const parts = [element('h2', {}, words.edits), about(words.editsAbout), element('p', { className: 'row' }, ...buttons)];
  if (verdict) {
    const total = grouped(page.tests.length),
      before = edits.touched
        ? element('span', { className: 'about' }, ` ${words.before(percent(page.moment.accuracy))}`)
        : null;
    parts.push(
      element(
        'p',
        { className: 'verdict' },
        element('b', {}, percent(verdict.right)),
        ` ${verdict.all ? words.rightOf(total) : words.judging(verdict.count, total)}`,
        before,
      ),
    );
  }
  parts.push(
    edits.touched
      ? element('ol', { className: 'done' }, ...edits.done.map(edit => element('li', {}, described(edit))))
      : about(words.untouched),
  );
  find('edits').replaceChildren(...parts);
}
