// Completions, token by token: how probable each was, what else the model considered, which experts it took.

import { bar, byId, el, number, textOn, workerColour } from './dom.js';
import { readEvents, request } from './api.js';

// Fields that a server may not know: asked for until it says so.
const wanted = { logprobs: 5, return_routed_experts: true };
let running = null;
let tokens = [];
let chosen = null;

export function draw(page, { status }) {
  if (page.childElementCount === 0) build(page);
  byId('prompt-hint').textContent = status?.model && !status.model.has_tokenizer ? 'This model has no tokenizer: write token ids separated by commas, and get ids.' : 'A base model goes on with the text; it does not follow instructions.';
  byId('run').disabled = status?.phase !== 'ready' && !running;
  page.dataset.tokenizer = String(status?.model?.has_tokenizer ?? true);
}

function build(page) {
  const field = (name, label, value, attributes) => el('label', {}, label, el('input', { id: name, type: 'number', value, ...attributes }));
  page.append(el('div', { class: 'play' },
    el('div', {},
      el('form', { class: 'card', id: 'form', onsubmit: event => { event.preventDefault(); running ? running.abort() : run(page); } },
        el('h2', {}, 'Playground'),
        el('label', { for: 'prompt', class: 'muted', id: 'prompt-hint' }),
        el('textarea', { id: 'prompt', spellcheck: 'false' }, 'My fellow Americans, '),
        el('div', { class: 'fields' },
          field('max-tokens', 'Most tokens', 60, { min: 1, max: 4096 }), field('temperature', 'Temperature', 0.7, { min: 0, max: 2, step: 0.05 }),
          field('top-p', 'Top p', 1, { min: 0.01, max: 1, step: 0.01 }), field('seed', 'Seed', '', { min: 0, step: 1, placeholder: 'random' }),
          el('button', { id: 'run', class: 'primary', type: 'submit' }, 'Generate'))),
      el('div', { class: 'card' },
        el('div', { class: 'legend' }, el('span', { class: 'muted' }, 'A token is the darker the less probable it was. Choose one to see its alternatives and its experts.')),
        el('div', { id: 'text', role: 'log', 'aria-label': 'Completion' }),
        el('div', { id: 'failure', class: 'error', role: 'alert' }), el('div', { id: 'done', class: 'muted' }))),
    el('div', { class: 'card', id: 'detail' }, el('h2', {}, 'Token'), el('p', { class: 'muted' }, 'None chosen.'))));
}

async function run(page) {
  running = new AbortController();
  tokens = [];
  chosen = null;
  const started = performance.now();
  let first = null;
  byId('run').textContent = 'Stop';
  for (const id of ['failure', 'done']) byId(id).textContent = '';
  byId('text').replaceChildren(el('span', { class: 'prompt' }, byId('prompt').value));
  byId('detail').replaceChildren(el('h2', {}, 'Token'), el('p', { class: 'muted' }, 'None chosen.'));
  try {
    const response = await ask(body(page), running.signal);
    await readEvents(response, (_, data) => {
      if (data === '[DONE]') return;
      first ??= performance.now();
      take(JSON.parse(data));
    });
  } catch (error) {
    if (error.name !== 'AbortError') byId('failure').textContent = error.message;
  }
  const ended = performance.now();
  byId('done').textContent = `${tokens.length} tokens${first ? `, the first after ${number(first - started)} ms` : ''}${tokens.length > 1 && ended > first ? `, then ${number(1000 * (tokens.length - 1) / (ended - first), 1)} a second` : ''}.${missing()}`;
  byId('done').dataset.ended = 'true';
  running = null;
  byId('run').textContent = 'Generate';
}

const missing = () => [wanted.logprobs ? '' : ' This server gives no probabilities.', wanted.return_routed_experts ? '' : ' This server gives no routed experts.'].join('');

function body(page) {
  const text = byId('prompt').value;
  const value = id => byId(id).value === '' ? undefined : Number(byId(id).value);
  return {
    prompt: page.dataset.tokenizer === 'false' ? text.split(',').map(Number) : text,
    max_tokens: value('max-tokens'), temperature: value('temperature'), top_p: value('top-p'), seed: value('seed'), stream: true,
  };
}

/** Posts the request; where the server refuses an optional field by its name, goes on without it. */
async function ask(fields, signal) {
  for (;;) {
    const optional = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value));
    const response = await request('/v1/completions', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ ...fields, ...optional }), signal });
    if (response.ok) return response;
    const error = (await response.json().catch(() => ({}))).error ?? {};
    const refused = response.status === 400 && Object.keys(optional).find(name => error.param === name || `${error.param} ${error.message}`.includes(name));
    if (!refused) throw new Error(error.message ?? `The server answers ${response.status}.`);
    wanted[refused] = null;
  }
}

function take(event) {
  if (event.error) throw new Error(event.error.message);
  const choice = event.choices?.[0];
  if (!choice) return;
  const logprobs = choice.logprobs;
  const count = logprobs?.tokens?.length ?? (choice.text ? 1 : 0);
  // [position][layer][k]: those of the prompt come with the first token; the last belong to the event's tokens.
  const routed = choice.routed_experts ?? [];
  for (let i = 0; i < count; i++)
    add({
      // The text of an event goes with its last token: what the decoder held back belongs to it.
      text: count === 1 ? choice.text : logprobs.tokens[i], token: logprobs?.tokens?.[i], logprob: logprobs?.token_logprobs?.[i] ?? null,
      top: logprobs?.top_logprobs?.[i] ?? null, experts: routed.at(i - count) ?? null,
    });
}

function add(token) {
  const index = tokens.push(token) - 1;
  // Not a button element: that would not break across lines as text does.
  const button = el('span', { class: 'token', role: 'button', tabindex: 0, 'aria-pressed': 'false', onclick: () => show(index), onkeydown: event => { if (event.key === 'Enter') show(index); } }, token.text);
  if (token.logprob !== null) {
    const doubt = 1 - Math.exp(token.logprob);
    button.style.backgroundColor = `rgba(var(--shade), ${(0.55 * doubt).toFixed(3)})`;
    button.dataset.tip = `${percent(token.logprob)} probable`;
  }
  byId('text').append(button);
}

function show(index) {
  const buttons = byId('text').querySelectorAll('.token');
  if (chosen !== null) buttons[chosen]?.setAttribute('aria-pressed', 'false');
  chosen = index;
  buttons[index].setAttribute('aria-pressed', 'true');
  const token = tokens[index];
  byId('detail').replaceChildren(
    el('h2', {}, `Token ${index + 1}: `, el('span', { class: 'mono' }, JSON.stringify(token.token ?? token.text))),
    token.logprob === null ? el('p', { class: 'muted' }, 'This server gives no probabilities.') : el('p', {}, `${percent(token.logprob)} probable (log ${number(token.logprob, 3)})`),
    ...(token.top ? [el('h3', {}, 'What the model considered'), alternatives(token)] : []),
    ...(token.experts ? [el('h3', {}, 'Experts by layer, best first'), routing(token.experts)] : [el('p', { class: 'muted' }, 'This server gives no routed experts.')]));
}

function alternatives(token) {
  return el('table', { class: 'options' }, el('tbody', {}, ...Object.entries(token.top).sort(([, a], [, b]) => b - a).map(([text, logprob]) => el('tr', {},
    el('td', { class: 'mono' }, JSON.stringify(text)), el('td', { class: 'num' }, percent(logprob)), el('td', {}, bar(Math.exp(logprob), text)),
    el('td', {}, text === token.token ? '◀ taken' : '')))));
}

function routing(layers) {
  return el('div', { class: 'scroll' }, el('table', { class: 'options', id: 'routing' }, el('tbody', {}, ...layers.map((experts, layer) => el('tr', {},
    el('td', { class: 'muted' }, `layer ${layer}`), ...experts.map((expert, rank) => {
      const badge = el('span', { class: 'badge' }, `${expert}`);
      if (rank === 0) { badge.style.background = workerColour(expert); badge.style.color = textOn(workerColour(expert)); }
      return el('td', { 'data-tip': `layer ${layer}: expert ${expert}, choice ${rank + 1}` }, badge);
    }))))));
}

const percent = logprob => `${number(100 * Math.exp(logprob), Math.exp(logprob) < 0.1 ? 2 : 1)} %`;
