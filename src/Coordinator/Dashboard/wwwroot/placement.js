// The plan: which worker holds which piece of which expert.

import { el, number, svg, textOn, workerColour } from './dom.js';
import { request } from './api.js';

let plan = null;
let asked = null;
let drawn = '';

export function draw(page, { status }) {
  if (!status.coverage) {
    page.replaceChildren(el('div', { class: 'card' }, el('h2', {}, 'Placement'), el('p', {}, 'There is no plan yet.')));
    return;
  }
  if (status.coverage.epoch === null) {
    page.replaceChildren(el('div', { class: 'card' }, el('h2', {}, 'Placement'), el('p', {}, 'The coordinator holds every expert itself.')));
    return;
  }
  if (plan?.epoch !== status.coverage.epoch) {
    load(status.coverage.epoch, () => draw(page, { status }));
    return;
  }
  const key = `${plan.epoch} ${status.workers.map(worker => worker.id + worker.state)} ${document.documentElement.dataset.theme}`;
  if (drawn === key && page.childElementCount) return;
  drawn = key;
  const ids = [...new Set([...status.workers.map(worker => worker.id), ...plan.bundles.flatMap(bundle => bundle.workers)])];
  const lost = new Set(ids.filter(id => status.workers.find(worker => worker.id === id)?.state !== 'ready'));
  page.replaceChildren(el('div', { class: 'card' },
    el('h2', {}, 'Placement'),
    el('p', { class: 'muted' }, `Plan epoch ${plan.epoch}: each expert is cut in ${number(plan.cuts.length - 1)} ${plan.cuts.length === 2 ? 'piece' : 'slices'}. A cell is an expert of a layer; its parts are its slices, with the number of the worker that holds them.`),
    el('div', { class: 'legend' }, ...ids.map((id, index) => legend(id, index, lost.has(id), count(id)))),
    el('div', { class: 'scroll' }, grid(status.model, ids, lost))));
}

async function load(epoch, done) {
  if (asked === epoch) return;
  asked = epoch;
  try {
    const response = await request('/cluster/plan');
    if (response.ok) plan = await response.json();
  } finally {
    asked = null;
  }
  if (plan?.epoch === epoch) done();
}

const count = id => plan.bundles.filter(bundle => bundle.workers.includes(id)).reduce((sum, bundle) => sum + bundle.tiles.length, 0);

function legend(id, index, lost, tiles) {
  const swatch = el('i', { class: 'swatch' });
  swatch.style.background = workerColour(index);
  return el('span', { class: lost ? 'bad' : '' }, swatch, `${index} ${id}: ${number(tiles)} tiles${lost ? ', lost' : ''}`);
}

function grid(model, ids, lost) {
  const [left, top] = [64, 22];
  const width = Math.max(30, Math.min(120, Math.floor(1000 / model.experts)));
  const height = model.layers > 24 ? 16 : 28;
  const slices = plan.cuts.length - 1;
  const holders = new Map(plan.bundles.flatMap(bundle => bundle.tiles.map(([expert, slice]) => [`${bundle.layer} ${expert} ${slice}`, bundle.workers])));
  const cells = [];
  for (let layer = 0; layer < model.layers; layer++)
    for (let expert = 0; expert < model.experts; expert++) {
      const tip = [`layer ${layer}, expert ${expert}`];
      const parts = [];
      for (let slice = 0; slice < slices; slice++) {
        const workers = holders.get(`${layer} ${expert} ${slice}`) ?? [];
        const here = workers.find(id => !lost.has(id));
        tip.push(`columns ${plan.cuts[slice]} to ${plan.cuts[slice + 1]}: ${workers.join(', ') || 'nobody'}${here ? '' : ' (missing)'}`);
        parts.push(...part(ids, here, left + expert * width + slice * (width - 3) / slices, top + layer * height, (width - 3) / slices, height - 2));
      }
      cells.push(svg('g', { 'data-tip': tip.join('\n') }, ...parts));
    }
  return svg('svg', { id: 'placement', width: left + model.experts * width + 4, height: top + model.layers * height + 4, role: 'img', 'aria-label': 'Workers by layer and expert' },
    ...Array.from({ length: model.experts }, (_, expert) => svg('text', { x: left + (expert + 0.5) * width, y: 14, 'text-anchor': 'middle' }, width < 60 ? `${expert}` : `expert ${expert}`)),
    ...Array.from({ length: model.layers }, (_, layer) => svg('text', { x: left - 8, y: top + (layer + 0.5) * height + 3, 'text-anchor': 'end' }, `layer ${layer}`)),
    ...cells);
}

function part(ids, holder, x, y, width, height) {
  if (!holder)
    return [svg('rect', { class: 'mark', x: x + 1, y: y + 1, width: width - 2, height: height - 2 }), svg('text', { class: 'cell-text mark-text', x: x + width / 2, y: y + height / 2 }, '!')];
  const index = ids.indexOf(holder);
  const label = svg('text', { class: 'cell-text', x: x + width / 2, y: y + height / 2 }, width >= 12 ? `${index}` : '');
  label.style.fill = textOn(workerColour(index));
  return [svg('rect', { x, y, width, height, fill: workerColour(index) }), label];
}
