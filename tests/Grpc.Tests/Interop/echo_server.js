// The echo service of EchoService.cs on @grpc/grpc-js. Prints its port. Ends with its standard input.
const grpc = require('@grpc/grpc-js');

const LIMIT = 20 << 20;
const same = bytes => bytes;
const method = (name, requestStream, responseStream) => ({
  path: `/test.Raw/${name}`, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same });
const service = {
  Echo: method('Echo', false, false), Count: method('Count', false, true), Join: method('Join', true, false), Chat: method('Chat', true, true),
  Fail: method('Fail', false, false), FailLater: method('FailLater', false, true), Hang: method('Hang', false, false),
  HangLater: method('HangLater', false, true), Mirror: method('Mirror', false, false) };
const failure = request => {
  const text = String(request);
  const metadata = new grpc.Metadata();
  metadata.add('why', 'asked for');
  return { code: Number(text.split(' ', 1)[0]), details: text.slice(text.indexOf(' ') + 1), metadata };
};
const server = new grpc.Server({ 'grpc.max_receive_message_length': LIMIT, 'grpc.max_send_message_length': LIMIT });
server.addService(service, {
  Echo: (call, answer) => answer(null, call.request),
  Count: call => { for (let i = 0; i < Number(String(call.request)); i++) call.write(Buffer.from(String(i))); call.end(); },
  Join: (call, answer) => { const words = []; call.on('data', word => words.push(String(word))); call.on('end', () => answer(null, Buffer.from(words.join(',')))); },
  Chat: call => { call.on('data', message => call.write(message)); call.on('end', () => call.end()); },
  Fail: (call, answer) => answer(failure(call.request)),
  FailLater: call => { call.write(Buffer.from('first')); call.emit('error', failure(call.request)); },
  Hang: () => {},
  HangLater: call => call.write(Buffer.from('first')),
  Mirror: (call, answer) => {
    const initial = new grpc.Metadata(), trailing = new grpc.Metadata();
    const [text, data] = [call.metadata.get('text')[0], call.metadata.get('data-bin')[0]];
    initial.add('text', text);
    initial.add('data-bin', data);
    trailing.add('text-trailer', text);
    trailing.add('data-trailer-bin', data);
    call.sendMetadata(initial);
    answer(null, call.request, trailing);
  },
});
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(port);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
