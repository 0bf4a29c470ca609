// The official openai package against a coordinator: completions, chat, models, streaming, abort, errors.
const assert = require('node:assert/strict');
const { OpenAI, BadRequestError, NotFoundError, AuthenticationError, APIUserAbortError } = require('openai');

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${baseURL}/v1`, apiKey, maxRetries: 0 });

async function main() {
  const models = [];
  for await (const model of await client.models.list()) models.push(model.id);
  assert.deepEqual(models, ['demo']);
  assert.equal((await client.models.retrieve('demo')).owned_by, 'grok1');
  await assert.rejects(client.models.retrieve('other'), NotFoundError);

  const request = { model: 'demo', prompt: 'The people', max_tokens: 12, temperature: 0 };
  const whole = await client.completions.create({ ...request, logprobs: 2, echo: true });
  assert.ok(whole.choices[0].text.startsWith('The people'));
  assert.equal(whole.choices[0].logprobs.token_logprobs[0], null);
  assert.equal(whole.usage.completion_tokens, 12);
  assert.ok(whole._request_id);

  let text = '', usage, events = 0;
  for await (const chunk of await client.completions.create({ ...request, stream: true, stream_options: { include_usage: true } })) {
    events++;
    text += chunk.choices[0]?.text ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.equal('The people' + text, whole.choices[0].text);
  assert.equal(usage.completion_tokens, 12);
  assert.equal(events, 14);

  const messages = [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hello' }];
  const chat = await client.chat.completions.create({ model: 'demo', messages, max_tokens: 10, temperature: 0, logprobs: true, top_logprobs: 2 });
  const answer = chat.choices[0].message;
  assert.equal(answer.role, 'assistant');
  assert.equal(chat.choices[0].logprobs.content[0].top_logprobs.length, 2);
  let streamed = '';
  for await (const chunk of await client.chat.completions.create({ model: 'demo', messages, max_tokens: 10, temperature: 0, stream: true }))
    streamed += chunk.choices[0]?.delta?.content ?? '';
  assert.equal(streamed, answer.content);
  const runner = client.chat.completions.stream({ model: 'demo', messages, max_tokens: 10, temperature: 0 });
  assert.equal((await runner.finalChatCompletion()).choices[0].message.content, answer.content);

  const endless = await client.completions.create({ ...request, max_tokens: 400, stream: true, ignore_eos: true });
  let before = 0;
  for await (const chunk of endless)
    if (++before === 3) endless.controller.abort();
  assert.ok(before < 400);
  const aborting = new AbortController();
  const aborted = client.completions.create({ ...request, max_tokens: 400, ignore_eos: true }, { signal: aborting.signal });
  aborting.abort();
  await assert.rejects(aborted, APIUserAbortError);

  await assert.rejects(client.completions.create({ ...request, temperature: 9 }), (error) => {
    assert.ok(error instanceof BadRequestError);
    assert.equal(error.param, 'temperature');
    assert.equal(error.code, 'invalid_value');
    assert.equal(error.type, 'invalid_request_error');
    assert.ok(error.requestID);
    return true;
  });
  await assert.rejects(client.completions.create({ ...request, model: 'other' }), NotFoundError);
  await assert.rejects(new OpenAI({ baseURL: `${baseURL}/v1`, apiKey: 'sk-not-one-of-them', maxRetries: 0 }).models.list(), AuthenticationError);
}

main().then(() => console.log('good'), (error) => { console.error(error); process.exit(1); });
