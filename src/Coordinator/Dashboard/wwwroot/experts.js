// Layers x experts: the share of tokens that each expert got, against what would be fair.

import { el, number, svg } from './dom.js';

const limit = 2; // A quarter or four times the fair share has the full colour.
let drawn = '';

export function draw(page, { experts, status }) {
  if (!experts || !status.model) {
    page.replaceChildren(el('div', { class: 'card' }, el('h2', {}, 'Experts'), el('p', {}, 'No token was routed yet.')));
    return;
  }
  const key = JSON.stringify(experts.counts) + document.documentElement.dataset.theme;
  if (drawn === key && page.childElementCount) return;
  drawn = key;
  const totals = experts.counts.map(layer => layer.reduce((sum, count) => sum + count, 0));
  page.replaceChildren(el('div', { class: 'card' },
    el('h2', {}, 'Tokens of every expert'),
    el('p', { class: 'muted' }, `${number((totals[0] ?? 0) / status.model.experts_per_token)} tokens since ${new Date(experts.since).toLocaleString('en', { hour12: false })}. A cell is an expert's share of its layer's tokens over the fair share of 1/${experts.counts[0].length}: 1.0 is even.`),
    el('div', { class: 'legend' }, el('span', {}, 'less ', legendBar(), ' more'), el('span', { class: 'muted' }, '¼ × … fair … 4 ×')),
    el('div', { class: 'scroll' }, grid(experts.counts, totals))));
}

function legendBar() {
  const steps = 25;
  return svg('svg', { width: 200, height: 12, 'aria-hidden': true }, ...Array.from({ length: steps }, (_, i) => svg('rect', { x: i * 200 / steps, width: 200 / steps + 1, height: 12, fill: colour(limit * (2 * i / (steps - 1) - 1)) })));
}

function grid(counts, totals) {
  const experts = counts[0].length;
  const [left, top] = [64, 22];
  const width = Math.max(26, Math.min(96, Math.floor(900 / experts)));
  const height = counts.length > 24 ? 18 : 30;
  return svg('svg', { id: 'heatmap', width: left + experts * width + 90, height: top + counts.length * height + 4, role: 'img', 'aria-label': 'Share of tokens by layer and expert' },
    ...Array.from({ length: experts }, (_, expert) => svg('text', { x: left + (expert + 0.5) * width, y: 14, 'text-anchor': 'middle' }, `expert ${expert}`.slice(width < 60 ? 7 : 0))),
    svg('text', { x: left + experts * width + 8, y: 14 }, 'busiest'),
    ...counts.map((layer, index) => svg('g', {},
      svg('text', { x: left - 8, y: top + (index + 0.5) * height + 4, 'text-anchor': 'end' }, `layer ${index}`),
      ...layer.flatMap((count, expert) => cell(layer, totals[index], index, expert, count, { left, top, width, height })),
      svg('text', { x: left + experts * width + 8, y: top + (index + 0.5) * height + 4 }, totals[index] ? `${number(Math.max(...layer) * experts / totals[index], 2)} ×` : ''))));
}

function cell(layer, total, index, expert, count, { left, top, width, height }) {
  const ratio = total ? count * layer.length / total : 0;
  const log = total ? Math.max(-limit, Math.min(limit, ratio > 0 ? Math.log2(ratio) : -limit)) : 0;
  const fill = colour(log);
  const tip = `layer ${index}, expert ${expert}\n${number(count)} tokens, ${number(total ? 100 * count / total : 0, 2)} % of the layer\n${number(ratio, 2)} times the fair share`;
  const text = svg('text', { class: 'cell-text', x: left + (expert + 0.5) * width, y: top + (index + 0.5) * height }, total ? number(ratio, 1) : '');
  text.style.fill = readableOn(fill);
  return [svg('rect', { class: 'cell', x: left + expert * width, y: top + index * height, width, height, fill, 'data-tip': tip, 'data-ratio': ratio.toFixed(3) }), text];
}

/** Black or white, whichever stands out more (WCAG 2's relative luminance). */
function readableOn(fill) {
  const [red, green, blue] = fill.match(/\d+/g).map(value => (value / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? '#000000' : '#ffffff';
}

/** From blue (little) over neutral (fair) to orange (much), by the logarithm of the ratio. */
function colour(log) {
  const style = getComputedStyle(document.documentElement);
  const [fair, end] = [style.getPropertyValue('--fair'), style.getPropertyValue(log < 0 ? '--low' : '--high')].map(parse);
  const part = Math.abs(log) / limit;
  return `rgb(${fair.map((value, i) => Math.round(value + part * (end[i] - value))).join(',')})`;
}

const parse = text => text.trim().match(/[0-9a-f]{2}/gi).map(hex => parseInt(hex, 16));
