// Is the cluster whole, how fast is it, who waits.

import { bar, bytes, duration, el, number, svg, time } from './dom.js';

const kept = 120;
let rates = null;

/** Goes on with the history that the first event brought, one value a second. */
export function remember(state) {
  const traffic = state.status.traffic;
  if (!rates) rates = { generation: [...(state.history?.generation_tokens_per_second ?? [])], prompt: [...(state.history?.prompt_tokens_per_second ?? [])], running: [...(state.history?.running ?? [])], tpot: [...(state.history?.tpot_p50 ?? [])] };
  if (!traffic) return;
  rates.generation.push(traffic.generation_tokens_per_second);
  rates.prompt.push(traffic.prompt_tokens_per_second);
  rates.running.push(traffic.running);
  rates.tpot.push(traffic.tpot_p50);
  for (const values of Object.values(rates)) if (values.length > kept) values.shift();
}

export function draw(page, { status }) {
  const traffic = status.traffic;
  page.replaceChildren(
    el('div', { class: 'cards' },
      coverage(status),
      card('Generation', traffic && [number(traffic.generation_tokens_per_second, 1), 'tokens/s'], traffic && `${number(traffic.generation_tokens)} in all, ${number(traffic.steps_per_second, 1)} steps/s`),
      card('Prompts', traffic && [number(traffic.prompt_tokens_per_second), 'tokens/s'], traffic && `${number(traffic.prompt_tokens)} in all, ${number(traffic.cached_tokens)} from the prefix cache`),
      card('First token', traffic && [time(traffic.ttft_p50), 'median'], traffic && `95 % within ${time(traffic.ttft_p95)}`),
      card('Each next token', traffic && [time(traffic.tpot_p50), 'median'], traffic && `95 % within ${time(traffic.tpot_p95)}`),
      card('Queue', traffic && [number(traffic.running), 'running'], traffic && `${number(traffic.waiting)} waiting, ${number(traffic.preemptions)} preemptions`),
      kv(traffic)),
    el('div', { class: 'split' },
      chart('Tokens generated a second, last two minutes', rates?.generation ?? [], value => number(value, 1), 1),
      chart('Sequences running', rates?.running ?? [], value => number(value), 2)),
    el('div', { class: 'split' }, events(status.events), about(status)));
}

function coverage(status) {
  if (!status.coverage) return card('Coverage', [`${Math.floor(100 * status.loaded_ratio)} %`, 'loaded'], 'weights come into memory', bar(status.loaded_ratio, 'loaded'));
  const { tiles, missing, epoch, description } = status.coverage;
  const ready = status.workers.filter(worker => worker.state === 'ready').length;
  return card('Coverage', [missing === 0 ? '100 %' : `${number(100 * (tiles - missing) / tiles, 1)} %`, missing === 0 ? 'of all tiles' : `${missing} missing`],
    missing > 0 ? description : epoch === null ? 'experts in the coordinator' : `${ready} of ${status.workers.length} ${status.workers.length === 1 ? 'worker' : 'workers'} ready, plan epoch ${epoch}`, bar((tiles - missing) / tiles, 'coverage'), missing > 0 ? 'bad' : 'good');
}

function kv(traffic) {
  return card('KV memory', traffic && [`${number(100 * traffic.kv_blocks_used / traffic.kv_blocks)} %`, 'used'], traffic && `${number(traffic.kv_blocks_used)} of ${number(traffic.kv_blocks)} blocks`, traffic && bar(traffic.kv_blocks_used / traffic.kv_blocks, 'KV blocks used'));
}

function card(title, value, note, extra, tone) {
  return el('div', { class: 'card' }, el('h3', { class: 'muted' }, title),
    el('div', { class: `value ${tone ?? ''}` }, value?.[0] ?? '–', ' ', el('small', {}, value?.[1] ?? 'no model yet')), el('div', { class: 'muted' }, note ?? ''), extra);
}

/** @param least What the scale reaches at least, so that small values look small. */
function chart(title, values, format, least) {
  const [width, height, left, bottom] = [600, 150, 44, 18];
  const largest = Math.max(...values, least);
  const top = largest * 1.1;
  const x = index => left + (width - left - 4) * (kept - values.length + index) / (kept - 1);
  const y = value => 6 + (height - bottom - 6) * (1 - value / top);
  const line = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
  return el('div', { class: 'card' }, el('h3', { class: 'muted' }, title),
    svg('svg', { viewBox: `0 0 ${width} ${height}`, width: '100%', role: 'img', 'aria-label': `${title}: now ${values.length ? format(values.at(-1)) : 'nothing'}` },
      ...[0, 0.5, 1].map(part => svg('g', {}, svg('line', { class: 'axis', x1: left, x2: width, y1: y(part * largest), y2: y(part * largest) }),
        svg('text', { x: left - 6, y: y(part * largest) + 4, 'text-anchor': 'end' }, format(part * largest)))),
      svg('text', { x: left, y: height - 3 }, '2 min ago'), svg('text', { x: width - 4, y: height - 3, 'text-anchor': 'end' }, 'now'),
      values.length > 1 ? svg('polygon', { class: 'chart-area', points: `${x(0)},${y(0)} ${line} ${x(values.length - 1)},${y(0)}` }) : null,
      values.length > 1 ? svg('polyline', { class: 'chart-line', points: line }) : null));
}

function events(list) {
  return el('div', { class: 'card' }, el('h2', {}, 'Events'), el('div', { class: 'events' }, el('table', {}, el('tbody', {}, ...list.map(entry => el('tr', {},
    el('td', { class: 'muted num' }, new Date(entry.time).toLocaleTimeString('en', { hour12: false })),
    el('td', { class: entry.level === 'error' ? 'bad' : entry.level === 'warning' ? 'warn' : '' }, entry.level === 'information' ? '' : `${entry.level}: `, entry.text)))))));
}

function about(status) {
  const model = status.model;
  const rows = [
    ['Up', duration(status.uptime_seconds)],
    ['Coordinator', `process ${status.coordinator.pid}, ${bytes(status.coordinator.memory_bytes)}, ${number(status.coordinator.cpu_cores, 1)} cores`],
    ...(model ? [
      ['Model', `${model.name}, ${model.layers} layers, ${model.experts} experts, ${model.experts_per_token} a token`],
      ['Widths', `embedding ${number(model.embedding_dim)}, vocabulary ${number(model.vocabulary_size)}, context ${number(model.max_sequence_length)}`],
      ['Weights', `${model.format}, ${model.precision} precision`],
      ['Tokenizer', model.has_tokenizer ? 'yes' : 'none: prompts are token ids']] : []),
    ['Version', status.version]];
  return el('div', { class: 'card' }, el('h2', {}, 'About'), el('table', {}, el('tbody', {}, ...rows.map(([name, text]) => el('tr', {}, el('td', { class: 'muted' }, name), el('td', {}, text))))));
}
