// Which page is shown, the theme, and the one stream of events that feeds every page.

import { byId, startTips } from './dom.js';
import { readEvents, request } from './api.js';
import * as overview from './overview.js';
import * as workers from './workers.js';
import * as experts from './experts.js';
import * as placement from './placement.js';
import * as token from './token.js';
import * as playground from './playground.js';

const pages = { overview, workers, experts, placement, token, playground };
const state = { history: null, status: null, experts: null, step: null };
let current = null;

function draw() {
  if (current && (state.status || current === 'playground')) pages[current].draw(byId(`page-${current}`), state);
}

function showPage() {
  const wanted = location.hash.slice(1);
  current = pages[wanted] ? wanted : 'overview';
  for (const name of Object.keys(pages)) byId(`page-${name}`).hidden = name !== current;
  for (const link of document.querySelectorAll('nav a'))
    if (link.hash === `#${current}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  draw();
}

function showStatus(status) {
  const phase = byId('phase');
  phase.textContent = status.phase === 'loading' ? `loading ${Math.floor(100 * status.loaded_ratio)} %` : status.phase;
  phase.className = `badge ${status.phase === 'ready' ? 'good' : 'warn'}`;
  byId('model').textContent = status.model ? `${status.model.name} · ${status.model.format} · ${status.model.precision} · v${status.version}` : `v${status.version}`;
  const missing = status.coverage?.missing ?? 0;
  const lost = status.workers.filter(worker => worker.state === 'lost').map(worker => worker.id);
  showBanner(missing > 0 ? `${status.coverage.description}${lost.length ? ` (lost: ${lost.join(', ')})` : ''}` : lost.length ? `lost: ${lost.join(', ')}` : null);
}

function showBanner(text) {
  byId('banner').hidden = !text;
  byId('banner').textContent = text ?? '';
}

function take(name, data) {
  state[name] = JSON.parse(data);
  if (name === 'status') {
    showStatus(state.status);
    overview.remember(state);
  }
  draw();
}

async function listen() {
  for (let wait = 500; ; wait = Math.min(2 * wait, 10_000)) {
    try {
      const response = await request('/dashboard/events');
      if (!response.ok) throw new Error(`status ${response.status}`);
      wait = 500;
      await readEvents(response, take);
    } catch {
      // Said below; tried again.
    }
    byId('phase').textContent = 'disconnected';
    byId('phase').className = 'badge bad';
    showBanner('The coordinator does not answer. What is shown is from before; this page tries again.');
    await new Promise(resolve => setTimeout(resolve, wait));
  }
}

function startTheme() {
  const preferred = matchMedia('(prefers-color-scheme: dark)');
  const apply = () => { document.documentElement.dataset.theme = localStorage.getItem('grok1-theme') ?? (preferred.matches ? 'dark' : 'light'); draw(); };
  preferred.addEventListener('change', apply);
  byId('theme').addEventListener('click', () => {
    localStorage.setItem('grok1-theme', document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
    apply();
  });
  apply();
}

addEventListener('hashchange', showPage);
startTips();
startTheme();
showPage();
listen();
