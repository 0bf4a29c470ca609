// @grpc/grpc-js as a client of our server: client.js TARGET. Exits with 0 if everything was as it should be.
const assert = require('assert');
const crypto = require('crypto');
const grpc = require('@grpc/grpc-js');

const LIMIT = 20 << 20;
const same = bytes => bytes;
const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure(), {
  'grpc.max_receive_message_length': LIMIT, 'grpc.max_send_message_length': LIMIT });
const soon = seconds => ({ deadline: new Date(Date.now() + 1000 * seconds) });
const unary = (method, request, metadata = new grpc.Metadata(), options = soon(30)) => new Promise((resolve, reject) => {
  const seen = {};
  const call = client.makeUnaryRequest(`/test.Raw/${method}`, same, same, Buffer.from(request), metadata, options,
    (error, response) => error ? reject(error) : resolve({ response, ...seen, call }));
  call.on('metadata', initial => { seen.initial = initial; });
  call.on('status', status => { seen.trailing = status.metadata; });
});
const all = async stream => { const messages = []; for await (const message of stream) messages.push(message); return messages; };
const failure = async promise => { try { await promise; } catch (error) { return error; } throw new Error('the call should have failed'); };

async function shapes() {
  for (const length of [0, 1, 16379, 100000, 3000000]) {
    const data = crypto.randomBytes(length);
    assert((await unary('Echo', data)).response.equals(data));
  }
  const count = client.makeServerStreamRequest('/test.Raw/Count', same, same, Buffer.from('100'), soon(30));
  assert.deepStrictEqual((await all(count)).map(String), [...Array(100).keys()].map(String));
  const joined = await new Promise((resolve, reject) => {
    const join = client.makeClientStreamRequest('/test.Raw/Join', same, same, soon(30), (error, response) => error ? reject(error) : resolve(response));
    for (const word of ['a', 'b', '', 'd']) join.write(Buffer.from(word));
    join.end();
  });
  assert.strictEqual(String(joined), 'a,b,,d');
  const chat = client.makeBidiStreamRequest('/test.Raw/Chat', same, same, soon(30));
  const answers = chat[Symbol.asyncIterator]();
  for (let i = 0; i < 50; i++) {
    const message = crypto.randomBytes(i * 1000);
    chat.write(message);
    assert((await answers.next()).value.equals(message));
  }
  chat.end();
  assert((await answers.next()).done);
}

async function errors() {
  for (const message of ['plain', '100% größer — 日本語 🦊', 'two\r\nlines']) {
    const error = await failure(unary('Fail', `5 ${message}`));
    assert.deepStrictEqual([error.code, error.details, error.metadata.get('why')[0]], [grpc.status.NOT_FOUND, message, 'asked for']);
    const later = await failure(all(client.makeServerStreamRequest('/test.Raw/FailLater', same, same, Buffer.from(`10 ${message}`), soon(30))));
    assert.deepStrictEqual([later.code, later.details], [grpc.status.ABORTED, message]);
  }
  assert.strictEqual((await failure(unary('NoSuchMethod', ''))).code, grpc.status.UNIMPLEMENTED);
  assert.strictEqual((await failure(unary('Hang', '', new grpc.Metadata(), soon(0.1)))).code, grpc.status.DEADLINE_EXCEEDED);
  const hang = client.makeServerStreamRequest('/test.Raw/HangLater', same, same, Buffer.alloc(0), soon(30));
  hang.on('data', () => hang.cancel());
  assert.strictEqual((await failure(new Promise((resolve, reject) => hang.on('error', reject)))).code, grpc.status.CANCELLED);
}

async function metadata() {
  const data = Buffer.from([0, 255, 10, 13, 61]);
  const given = new grpc.Metadata();
  given.add('text', 'a value, with punctuation');
  given.add('data-bin', data);
  const { response, initial, call } = await unary('Mirror', 'x', given);
  assert.strictEqual(String(response), 'x');
  assert.strictEqual(initial.get('text')[0], 'a value, with punctuation');
  assert(initial.get('data-bin')[0].equals(data));
  assert(call);
}

async function large() {
  const data = crypto.randomBytes(16 << 20);
  assert((await unary('Echo', data)).response.equals(data));
}

shapes().then(errors).then(metadata).then(large).then(() => process.exit(0), error => { console.error(error); process.exit(1); });
