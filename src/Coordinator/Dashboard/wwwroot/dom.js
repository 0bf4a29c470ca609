// Small helpers that every page uses. Text always goes in as text, never as markup.

const svgNamespace = 'http://www.w3.org/2000/svg';

/** Makes an element: el('td', { class: 'num' }, 'text', child). */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(svgNamespace, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes))
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(key, value === true ? '' : value);
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

export const byId = id => document.getElementById(id);

/** The part of a whole as a bar. Its width is set by script because the page allows no inline style. */
export function bar(share, label) {
  const inner = el('i');
  inner.style.width = `${Math.round(1000 * Math.min(1, Math.max(0, share))) / 10}%`;
  return el('div', { class: 'bar', role: 'meter', 'aria-valuemin': 0, 'aria-valuemax': 1, 'aria-valuenow': share.toFixed(3), 'aria-label': label }, inner);
}

export const number = (value, digits = 0) => value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });

export function bytes(value) {
  if (value === null || value === undefined) return 'not known';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit++; }
  return `${number(value, unit === 0 ? 0 : 1)} ${units[unit]}`;
}

/** A time in seconds with the unit that suits it. */
export function time(seconds) {
  if (seconds === null || seconds === undefined) return 'none yet';
  if (seconds < 1e-3) return `${number(1e6 * seconds)} µs`;
  if (seconds < 1) return `${number(1e3 * seconds, seconds < 0.1 ? 1 : 0)} ms`;
  return `${number(seconds, seconds < 10 ? 2 : 0)} s`;
}

export function duration(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = parts.findIndex(([length]) => seconds >= length);
  if (first < 0) return '0 s';
  return parts.slice(first, first + 2).map(([length, name], index) => `${Math.floor(index === 0 ? seconds / length : (seconds % parts[first][0]) / length)} ${name}`).join(' ');
}

/** Colours of workers; past the eighth they repeat, and the number beside them tells. */
const workerColours = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#b8a800', '#7d8894'];
export const workerColour = index => workerColours[index % workerColours.length];
/** The text colour that can be read on a worker's: black on all but the darkest. */
export const textOn = colour => colour === workerColours[0] ? '#ffffff' : '#000000';

/** Shows the data-tip of whatever the pointer or the focus is on. */
export function startTips() {
  const tip = byId('tip');
  const show = (target, x, y) => {
    const text = target?.closest?.('[data-tip]')?.getAttribute('data-tip');
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    tip.style.left = `${Math.min(x + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${y + 18 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 10 : y + 18}px`;
  };
  addEventListener('pointermove', event => show(event.target, event.clientX, event.clientY));
  addEventListener('focusin', event => {
    const box = event.target.getBoundingClientRect();
    show(event.target, box.left, box.bottom - 14);
  });
}
