// One step of the model, layer by layer and worker by worker: where the time of a token goes, and who was last.

import { el, number, svg, workerColour } from './dom.js';

const phases = ['send', 'queue', 'compute', 'receive'];
const phaseNames = { attention: 'attention and router, here', send: 'send', queue: 'wait in the worker', compute: 'compute', receive: 'receive (the wire, both ways)' };
let held = null;
let aligned = null;
let drawn = '';

export function draw(page, { step, status }) {
  const shown = held ?? step;
  if (!shown) {
    page.replaceChildren(el('div', { class: 'card' }, el('h2', {}, 'One token'), el('p', {}, 'Nothing was generated yet. Ask for a completion in the playground, then come back.')));
    return;
  }
  aligned ??= shown.rounds.length > 8;
  const key = `${shown.started} ${held !== null} ${aligned}`;
  if (drawn === key && page.childElementCount) return;
  drawn = key;
  const redraw = () => { drawn = ''; draw(page, { step, status }); };
  const stragglers = shown.rounds.map(slowest);
  page.replaceChildren(el('div', { class: 'card' },
    el('h2', {}, 'One token through the cluster'),
    el('div', { class: 'tools' },
      el('button', { id: 'hold', type: 'button', 'aria-pressed': held !== null, onclick: () => { held = held ? null : shown; redraw(); } }, held ? 'Go on' : 'Hold this one'),
      el('button', { id: 'align', type: 'button', 'aria-pressed': aligned, onclick: () => { aligned = !aligned; redraw(); } }, aligned ? 'Show as one timeline' : 'Start every layer at the left'),
      el('span', {}, describe(shown))),
    el('div', { class: 'legend' },
      ...['attention', ...phases].map(phase => el('span', {}, el('i', { class: `swatch ${phase}` }), phaseNames[phase])),
      el('span', { class: 'bad' }, '◀ last to answer')),
    tally(shown, stragglers),
    el('div', { class: 'scroll' }, chart(shown, stragglers))));
}

function describe(step) {
  const rows = step.rows === step.sequences ? `${number(step.rows)} ${step.rows === 1 ? 'token' : 'tokens, one of each sequence'}` : `${number(step.rows)} tokens, prompts among them`;
  const experts = step.rounds.reduce((sum, round) => sum + round.end_us - round.start_us, 0);
  return `${rows} in ${ms(step.total_us)}${step.rounds.some(round => round.slot > 0) ? ', cut in micro-batches that overlap' : `: ${number(100 * experts / step.total_us)} % with the experts`}`;
}

/** The worker whose answer a layer waited for last, and for how long after the last but one; null with fewer than two. */
function slowest(round) {
  const answers = round.calls.map((call, worker) => ({ worker, end: call?.received_us })).filter(answer => answer.end !== undefined).sort((a, b) => b.end - a.end);
  return answers.length < 2 ? null : { worker: answers[0].worker, us: answers[0].end - answers[1].end };
}

function tally(step, stragglers) {
  const cost = step.workers.map((id, worker) => ({ id, times: stragglers.filter(last => last?.worker === worker).length, us: stragglers.reduce((sum, last) => sum + (last?.worker === worker ? last.us : 0), 0) }));
  if (cost.length < 2) return null;
  const most = Math.max(...cost.map(worker => worker.us));
  return el('p', { id: 'tally' }, 'Last to answer: ', ...cost.filter(worker => worker.times > 0).sort((a, b) => b.us - a.us).flatMap((worker, index) => [index ? '; ' : '',
    el(worker.us === most ? 'strong' : 'span', { class: worker.us === most ? 'bad' : '' }, `${worker.id} in ${worker.times} of ${step.rounds.length} ${step.rounds.some(round => round.slot > 0) ? 'rounds' : 'layers'}, which cost ${ms(worker.us)}`)]), '.');
}

function chart(step, stragglers) {
  const [left, right, top, width] = [150, 90, 24, 1240];
  const lanes = Math.max(1, step.workers.length);
  const lane = step.rounds.length * lanes > 150 ? 7 : 14;
  const height = lanes * lane + 8;
  const span = aligned ? Math.max(...step.rounds.map(round => round.end_us - round.begin_us)) : step.total_us;
  const scale = (width - left - right) / span;
  return svg('svg', { id: 'waterfall', width, height: top + step.rounds.length * height + 8, role: 'img', 'aria-label': 'Waterfall of one step' },
    ...ticks(span).map(us => svg('g', {}, svg('line', { class: 'axis', x1: left + us * scale, x2: left + us * scale, y1: top - 6, y2: top + step.rounds.length * height }),
      svg('text', { x: left + us * scale, y: 12, 'text-anchor': 'middle' }, ms(us)))),
    ...step.rounds.map((round, index) => drawRound(step, round, stragglers[index], { left, y: top + index * height, lane, height, scale, from: aligned ? round.begin_us : 0 })));
}

function drawRound(step, round, straggler, place) {
  const name = round.slot > 0 || step.rounds.some(other => other.slot > 0) ? `layer ${round.layer}, part ${round.slot + 1}` : `layer ${round.layer}`;
  const x = us => place.left + (us - place.from) * place.scale;
  const attention = `${name}: attention and router\n${ms(round.start_us - round.begin_us)}`;
  return svg('g', { 'data-layer': round.layer },
    svg('text', { x: 4, y: place.y + 10, class: 'strong' }, name),
    svg('line', { class: 'axis', x1: 0, x2: 1240, y1: place.y + place.height - 3, y2: place.y + place.height - 3 }),
    svg('rect', { class: 'attention', x: x(round.begin_us), y: place.y, width: Math.max(1, (round.start_us - round.begin_us) * place.scale), height: place.height - 8, 'data-tip': attention }),
    step.workers.length === 0
      ? svg('rect', { class: 'compute', x: x(round.start_us), y: place.y, width: Math.max(1, (round.end_us - round.start_us) * place.scale), height: place.height - 8, 'data-tip': `${name}: experts, here\n${ms(round.end_us - round.start_us)}` })
      : null,
    ...round.calls.flatMap((call, worker) => drawCall(step, call, worker, name, straggler, place, x)));
}

function drawCall(step, call, worker, round, straggler, place, x) {
  const y = place.y + worker * place.lane;
  const name = svg('text', { x: place.left - 8, y: y + place.lane - 4, 'text-anchor': 'end' }, place.lane > 10 ? step.workers[worker] : '');
  const swatch = svg('rect', { x: place.left - 6, y: y + 1, width: 4, height: place.lane - 3, fill: workerColour(worker) });
  if (!call) return [name, swatch];
  const parts = split(call);
  const isLast = straggler?.worker === worker;
  const tip = [`${round}, ${step.workers[worker]}: ${call.rows} ${call.rows === 1 ? 'token' : 'tokens'}, ${ms(call.received_us - call.start_us)}`,
    ...phases.map((phase, i) => `${phaseNames[phase]}: ${ms(parts[i])}`), ...(isLast ? [`last to answer, ${ms(straggler.us)} after the one before`] : [])].join('\n');
  let at = call.start_us;
  const bars = parts.map((us, i) => {
    const rect = svg('rect', { class: phases[i], x: x(at), y: y + 1, width: Math.max(0, us * place.scale), height: place.lane - 3 });
    at += us;
    return rect;
  });
  const end = x(call.received_us);
  return [name, swatch, svg('g', { 'data-tip': tip, 'data-straggler': isLast || null }, ...bars,
    isLast ? svg('rect', { class: 'mark', x: x(call.start_us), y: y, width: Math.max(2, end - x(call.start_us)), height: place.lane - 1 }) : null,
    isLast ? svg('text', { class: 'mark-text', x: end + 4, y: y + place.lane - 3 }, place.lane > 10 ? `◀ +${ms(straggler.us)}` : '◀') : null)];
}

/** A call's phases in order; what is left of its time after the worker's own measures is the wire's. */
function split(call) {
  const total = call.received_us - call.start_us;
  const send = Math.min(total, call.sent_us - call.start_us);
  const queue = Math.min(total - send, call.queue_us);
  const compute = Math.min(total - send - queue, call.compute_us);
  return [send, queue, compute, total - send - queue - compute];
}

function ticks(span) {
  const raw = span / 8;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(factor => factor * unit).find(value => value >= raw);
  return Array.from({ length: Math.floor(span / step) + 1 }, (_, index) => index * step);
}

const ms = us => us < 1000 ? `${number(us)} µs` : `${number(us / 1000, us < 10_000 ? 2 : 1)} ms`;
