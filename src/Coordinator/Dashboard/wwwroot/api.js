// Talks to the coordinator. A key, where one is asked for, stays in this tab.

import { byId } from './dom.js';

const keyName = 'grok1-key';
let asking = null;

/** fetch with the key; asks for one, once, when the coordinator wants it. */
export async function request(path, options = {}) {
  for (;;) {
    const key = sessionStorage.getItem(keyName);
    const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
    const response = await fetch(path, { ...options, headers });
    if (response.status !== 401) return response;
    await (asking ??= askForKey().finally(() => { asking = null; }));
  }
}

function askForKey() {
  const dialog = byId('login');
  const input = byId('key');
  input.value = '';
  dialog.showModal();
  return new Promise(resolve => dialog.addEventListener('close', () => {
    sessionStorage.setItem(keyName, input.value);
    input.value = '';
    resolve();
  }, { once: true }));
}

/** Reads server-sent events of a response: calls onEvent(name, data as text) for each until the stream ends. */
export async function readEvents(response, onEvent) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      let name = 'message';
      const data = [];
      for (const line of block.split(/\r?\n/))
        if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
        else if (line.startsWith('event:')) name = line.slice(6).trim();
      if (data.length > 0) onEvent(name, data.join('\n'));
    }
  }
}
