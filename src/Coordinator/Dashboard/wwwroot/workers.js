// Every worker: is it there, what does it hold, how busy is it, does it hold the others up.

import { bar, bytes, el, number, time } from './dom.js';

const columns = [
  ['Worker', ''], ['State', ''], ['Tiles', 'Pieces of experts that it holds'], ['Weights', 'Bytes of those'], ['Memory', 'Resident memory of its process'],
  ['Round trip', 'A small question and its answer'], ['Calls/s', 'One call a layer a step'], ['Call', 'Mean time from sending a call to having its answer'],
  ['Tokens/s', 'Tokens times layers'], ['Wire', 'Bytes a second to it and from it'], ['Busy', 'Share of the time that it computed'],
  ['Straggler', 'Share of the time that all others waited for this worker alone'],
];

export function draw(page, { status }) {
  if (status.workers.length === 0) {
    page.replaceChildren(el('div', { class: 'card' }, el('h2', {}, 'Workers'), el('p', {}, status.model ? 'The coordinator computes the experts itself: there are no workers.' : 'No worker is connected yet.')));
    return;
  }
  const worst = Math.max(...status.workers.map(worker => worker.straggler_ratio));
  page.replaceChildren(el('div', { class: 'card scroll' }, el('h2', {}, 'Workers'), el('table', {},
    el('thead', {}, el('tr', {}, ...columns.map(([name, tip], index) => el('th', { class: index > 1 ? 'num' : '', 'data-tip': tip || null }, name)))),
    el('tbody', {}, ...status.workers.map(worker => row(worker, worst))))));
}

function row(worker, worst) {
  const straggles = worst > 0.02 && worker.straggler_ratio === worst;
  return el('tr', { 'data-worker': worker.id },
    el('td', { 'data-tip': `${worker.address}\nprocess ${worker.pid}\nkernels ${worker.kernel_id}\nversion ${worker.version}` }, el('strong', {}, worker.id), ' ', el('span', { class: 'muted' }, worker.address)),
    el('td', {}, el('span', { class: `badge ${worker.state === 'ready' ? 'good' : worker.state === 'lost' ? 'bad' : 'warn'}` }, worker.state)),
    cell(number(worker.tiles)), cell(bytes(worker.bytes)), cell(bytes(worker.memory_bytes)),
    cell(worker.round_trip_us === null ? '–' : time(worker.round_trip_us / 1e6)), cell(number(worker.calls_per_second)),
    cell(worker.call_ms === null ? '–' : time(worker.call_ms / 1e3)), cell(number(worker.rows_per_second)),
    cell(`${bytes(worker.sent_bytes_per_second)} out, ${bytes(worker.received_bytes_per_second)} in`),
    el('td', { class: 'num' }, `${number(100 * worker.busy_ratio)} %`, bar(worker.busy_ratio, 'busy')),
    el('td', { class: `num ${straggles ? 'bad' : ''}` }, `${straggles ? '◀ ' : ''}${number(100 * worker.straggler_ratio, 1)} %`, bar(worker.straggler_ratio, 'straggler')));
}

const cell = text => el('td', { class: 'num' }, text);
