// The panels below the layers: the arithmetic and source of one number, one filter, Grad-CAM, edits of the network.

import { drawCam, gradCam, overlay } from './grad-cam.js';
import { filterPanel, weightPanel } from './channels.js';
import { decodeFloat16 } from './decode.js';
import { button, element, byId } from './dom.js';
import { TRACE_MAX_MACS, traceBackward, annotatedSource, traceForward } from './explain-number.js';
import { formatNumber, formatInteger, formatPercent } from './paint.js';
import { numberGrid, arithmeticFigure, labeledResult } from './arithmetic.js';

const about = text => element('p', { className: 'about' }, text);

// An offset in row-major order as an index on each axis.
function indexText(shape, index) {
  const indices = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    indices.unshift(index % shape[axis]);
    index = Math.floor(index / shape[axis]);
  }
  return indices.join(', ');
}

// Show annotated source, scrolled down to its terms if those lie out of view.
function showSource(...blocks) {
  byId('source').replaceChildren(...blocks);
  for (const block of byId('source').querySelectorAll('pre')) {
    const firstTerm = block.querySelector('mark'),
      below = firstTerm ? firstTerm.offsetTop - block.offsetTop : 0;
    if (below > 0.8 * block.clientHeight) block.scrollTop = below - 0.4 * block.clientHeight;
  }
}

export function drawNumber(page) {
  const { words, network, selection, pinned, data } = page,
    column = page.column(selection.layer),
    { node } = column;
  const index = column.flatIndex(selection.channel, selection.row, selection.column),
    tensor = page.displayedTensor(column.name);
  const position = column.hasMaps
    ? `${words.channel} ${column.channelName(selection.channel)}, ${words.row} ${selection.row}, ${words.column} ${selection.column}`
    : `${words.number} ${index}`;
  const name = `${column.title}, ${node.name}: ${position}`,
    hint = page.computes ? words.pointAtNumber : words.recordedNumber;
  byId('number-title').textContent = page.isBackward ? words.gradientOf(name) : name;
  byId('number-about').textContent = pinned ? `${hint} · ${words.pinned}` : hint;
  drawReceptiveField(page, column);
  if (!page.computes) {
    byId('arithmetic').replaceChildren(labeledResult(tensor?.data[index] ?? 0, node.name));
    showSource();
  } else if (page.isBackward) {
    byId('arithmetic').replaceChildren(...gradientPanel(page, node, tensor?.data[index] ?? 0));
    showSource();
  } else {
    byId('arithmetic').replaceChildren(...arithmeticFigure(page, node, selection.channel, selection.row, selection.column));
    const steps = traceForward(network, node, tensor, index);
    showSource(steps ? annotatedSource(data.sources[node.forward], steps, words) : about(words.tooLargeToTrace));
  }
}

// Frame the receptive field of the selected number on the image.
function drawReceptiveField(page, column) {
  const { data, selection } = page,
    centers = data.fieldCenters[column.name],
    { field } = column.facts,
    [height, width] = data.samples.shape;
  const fullSide = [0, 100],
    edges = ([start, step], k, size, imageSize) =>
      [(size - 1) / 2, -(size + 1) / 2].map(half => 100 * Math.min(1, Math.max(0, (start + step * k - half) / imageSize)));
  const [top, bottom] = centers && column.hasMaps ? edges(centers.rows, selection.row, field[0], height) : fullSide;
  const [left, right] = centers && column.hasMaps ? edges(centers.columns, selection.column, field[1], width) : fullSide;
  byId('receptive-field').style.cssText = `top: ${top}%; left: ${left}%; width: ${right - left}%; height: ${bottom - top}%`;
}

// Backward: the number's gradient, and the gradients of the weights that computed it, one of which can be selected.
function gradientPanel(page, node, value) {
  const { words, network, selectedWeight, selection, inputChannel } = page,
    name = node.reads[1];
  const weight = ['conv2d', 'linear'].includes(node.op) ? network.grads[name] : null,
    isSelected = weight && selectedWeight?.name === name;
  if (isSelected)
    byId('number-title').textContent = words.gradientOf(`${name}[${indexText(weight.shape, selectedWeight.index)}]`);
  if (!weight) return [labeledResult(value, words.gradientOf(node.name), 4)];
  if (node.op === 'linear') {
    const figure = isSelected
      ? labeledResult(weight.data[selectedWeight.index], words.gradientOf(name), 4)
      : labeledResult(value, words.gradientOf(node.name), 4);
    return [figure, linearGradientTable(page, node, weight, selection.channel)];
  }
  const [rows, columns, depth, filters] = weight.shape,
    c = Math.min(inputChannel, depth - 1);
  const index = (r, s) => ((r * columns + s) * depth + c) * filters + selection.channel,
    kernelPosition = isSelected ? Math.floor(selectedWeight.index / filters / depth) : -1;
  const values = Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, s) => weight.data[index(r, s)]));
  const weightGrid = numberGrid(values, `${words.weightGradient}${depth > 1 ? ` (${words.channel} ${c})` : ''}`, {
    highlighted: isSelected ? [Math.floor(kernelPosition / columns), kernelPosition % columns] : null,
    choose: (r, s) => page.selectWeight(name, index(r, s)),
  });
  return isSelected
    ? [weightGrid, ...weightPanel(page, node, name, selectedWeight.index)]
    : [labeledResult(value, words.gradientOf(node.name), 4), weightGrid];
}

// The largest inputs of a fully connected layer: the gradient of a weight is x times the gradient of the output.
function linearGradientTable(page, node, weight, k) {
  const { words, network } = page,
    x = network.tensorsNamed(node.reads[0]),
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
      ...[String(d), formatNumber(x.data[d], 3), formatNumber(grad, 4)].map(text => element('td', {}, text)),
      element(
        'td',
        {},
        button(formatNumber(weight.data[d * outputs + k], 4), () => page.selectWeight(node.reads[1], d * outputs + k)),
      ),
    ),
  );
  return element('table', {}, element('thead', {}, head), element('tbody', {}, ...rows));
}

// The source of the selected number's gradient: of each node that reads it, or of the selected weight's own node.
export function drawGradientSource(page) {
  const { words, network, data, selectedWeight, selection } = page,
    column = page.column(selection.layer),
    isWeight = selectedWeight && column.node.reads.includes(selectedWeight.name);
  const name = isWeight ? selectedWeight.name : column.name,
    index = isWeight ? selectedWeight.index : column.flatIndex(selection.channel, selection.row, selection.column);
  const readers = isWeight ? [column.node] : network.readers(name),
    blocks = [];
  for (const node of readers) {
    const trace =
      (data.layerFacts[node.name]?.macs ?? 0) > TRACE_MAX_MACS
        ? { value: null, steps: null }
        : traceBackward(network, node, name, index);
    if (!trace) continue;
    if (trace.value !== null) blocks.push(about(`${words.fromReader(node.name)}: ${formatNumber(trace.value, 4)}`));
    blocks.push(trace.steps ? annotatedSource(data.sources[node.backward], trace.steps, words) : about(words.tooLargeToTrace));
  }
  showSource(...(blocks.length ? blocks : [about(words.noReaders)]));
}

export function drawFilter(page) {
  const { words, selection } = page,
    node = page.node(selection.layer),
    isShown = page.computes && !page.isBackward && node?.op === 'conv2d';
  byId('filter').hidden = !isShown;
  if (!isShown) return;
  const channel = Math.min(selection.channel, page.network.tensors[node.output].shape[3] - 1);
  byId('filter').replaceChildren(
    element('h2', {}, words.filterTitle(node.name, channel)),
    about(words.filterAbout),
    ...filterPanel(page, node, channel),
  );
}

export function showCam(page) {
  const { data, words, network } = page,
    { camLayer } = data,
    [height, width] = data.samples.shape;
  byId('cam').hidden = !camLayer;
  if (!camLayer) return;
  const index = page.computes ? page.lossClass : page.prediction,
    [rows, columns] = data.layerFacts[page.node(camLayer).name].shape;
  const values = page.computes
    ? gradCam(network.tensors[camLayer], network.logitGradient(index, camLayer)[camLayer])
    : decodeFloat16(network.images[page.sampleIndex].cam);
  page.camOverlay = overlay(values, rows, columns, data.fieldCenters[camLayer], height, width);
  drawCam(byId('cam-canvas'), page.camOverlay, page.pixels, data.samples.shape, data.inverted);
  byId('cam-about').textContent = words.camAbout(camLayer, data.classes[index]);
}

export function drawEdits(page) {
  if (!page.computes) return;
  const { words, edits, selection, data, network, evaluation } = page,
    column = page.column(selection.layer),
    isAblated = network.ablatedChannels.get(selection.layer)?.has(selection.channel);
  const toggleButton = button((isAblated ? words.switchOn : words.switchOff)(column.node.name, selection.channel), () =>
    edits.toggle(selection.layer, selection.channel),
  );
  const buttons = [
    column.hasMaps ? toggleButton : null,
    button(words.undo, () => edits.undo(), { disabled: !edits.modified }),
    button(words.reset, () => edits.reset(), { disabled: !edits.modified }),
  ];
  const describe = edit =>
    edit.output
      ? words.channelOff(edit.output, edit.channel)
      : words.weightChanged(
          edit.name,
          indexText(data.spec.parameters[edit.name].shape, edit.index),
          formatNumber(edit.before, 3),
          formatNumber(edit.value, 3),
        );
  const parts = [element('h2', {}, words.edits), about(words.editsAbout), element('p', { className: 'row' }, ...buttons)];
  if (evaluation) {
    const total = formatInteger(page.testImages.length),
      accuracyBefore = edits.modified
        ? element('span', { className: 'about' }, ` ${words.accuracyBefore(formatPercent(page.currentSnapshot.accuracy))}`)
        : null;
    parts.push(
      element(
        'p',
        { className: 'evaluation' },
        element('b', {}, formatPercent(evaluation.accuracy)),
        ` ${evaluation.complete ? words.correctOf(total) : words.correctSoFar(evaluation.count, total)}`,
        accuracyBefore,
      ),
    );
  }
  parts.push(
    edits.modified
      ? element('ol', { className: 'edit-history' }, ...edits.history.map(edit => element('li', {}, describe(edit))))
      : about(words.noEdits),
  );
  byId('edits').replaceChildren(...parts);
}
