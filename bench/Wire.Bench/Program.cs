using System.Diagnostics;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Wire.Bench;

// Round trips of gRPC messages on loopback, one in flight, beside those of raw sockets in the same run.
//   dotnet run -c Release --project bench/Wire.Bench [ROUNDS of 12 KiB, default 20000] [with "stock": the stock transport as well]
// What a thread may spin before it sleeps.
var longestSpin = TimeSpan.FromMicroseconds(50);
const int Small = 12 << 10, Middle = 192 << 10, Large = 4 << 20, FanOut = 8;
var rounds = args.Length > 0 && int.TryParse(args[0], out var given) ? given : 20_000;
GrpcTransport[] transports = args.Contains("stock") ? [GrpcTransport.Own, GrpcTransport.Stock] : [GrpcTransport.Own];
var unix = $"/tmp/wire-bench-{Environment.ProcessId}";
Console.WriteLine($"load {File.ReadAllText("/proc/loadavg").Trim()}, {Environment.ProcessorCount} cores");

foreach (var (length, share) in new[] { (Small, 1), (Middle, 4), (Large, 100) })
{
    foreach (var path in new[] { null, $"{unix}.raw" })
    {
        using var raw = new RawEcho(path, length);
        Report($"raw {Kind(path)}", length, new Percentiles(rounds / share).Measure(raw.RoundTrip));
        File.Delete($"{unix}.raw");
    }
    foreach (var transport in transports)
    {
        foreach (var listen in new[] { "127.0.0.1:0", $"unix:{unix}.grpc" })
            await Single($"{transport} {(listen.StartsWith("unix", StringComparison.Ordinal) ? "unix" : "tcp ")}", listen, transport, mutualTls: false, length, share);
        await Single($"{transport} mTLS", "127.0.0.1:0", transport, mutualTls: true, length, share);
    }
}
foreach (var transport in transports)
    await Fan(transport);

async Task Single(string name, string listen, GrpcTransport transport, bool mutualTls, int length, int share)
{
    await using var server = await EchoServer.StartAsync(listen, transport, mutualTls);
    using var channel = server.Channel();
    using var call = channel.DuplexStreaming(Messages.Echo, new GrpcCallOptions { Scheduling = MessageScheduling.Inline }, CancellationToken.None);
    var message = new byte[length];
    var responses = new BlockingMessageReader<ReadOnlyMemory<byte>>(call.Responses);
    foreach (var spin in new[] { TimeSpan.Zero, longestSpin })
        Report(spin == TimeSpan.Zero ? name : $"{name} spin", length, new Percentiles(rounds / share).Measure(() =>
        {
            call.Write(message, CancellationToken.None);
            responses.MoveNext(spin, CancellationToken.None);
        }));
}

async Task Fan(GrpcTransport transport)
{
    var servers = await Task.WhenAll(Enumerable.Range(0, FanOut).Select(_ => EchoServer.StartAsync("127.0.0.1:0", transport, mutualTls: false)));
    var channels = servers.Select(server => server.Channel()).ToArray();
    var calls = channels.Select(channel =>
        channel.DuplexStreaming(Messages.Echo, new GrpcCallOptions { Scheduling = MessageScheduling.Inline }, CancellationToken.None)).ToArray();
    var left = 0;
    using var gathered = new ManualResetEventSlim(false, spinCount: 0);
    var reading = calls.Select(ReadAsync).ToArray();
    var message = new byte[Small];
    var cpu = Process.GetCurrentProcess().TotalProcessorTime;
    var times = new Percentiles(rounds).Measure(() =>
    {
        gathered.Reset();
        Volatile.Write(ref left, FanOut);
        foreach (var call in calls)
            call.Write(message, CancellationToken.None);
        gathered.Wait();
    });
    cpu = Process.GetCurrentProcess().TotalProcessorTime - cpu;
    Report($"{transport} x {FanOut}", Small, times);
    Console.WriteLine($"  processor time of all {1 + FanOut} ends: {cpu.TotalMicroseconds / (rounds * 1.1):F0} us a round");
    foreach (var call in calls)
        await call.CompleteAsync(CancellationToken.None);
    await Task.WhenAll(reading);
    foreach (var channel in channels)
        channel.Dispose();
    foreach (var server in servers)
        await server.DisposeAsync();

    // The last answer of a round wakes the thread that waits for all of them.
    async Task ReadAsync(DuplexStreamingCall<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> call)
    {
        while (await call.Responses.MoveNextAsync(CancellationToken.None))
            if (Interlocked.Decrement(ref left) == 0)
                gathered.Set();
    }
}

static string Kind(string? path) => path is null ? "tcp " : "unix";

static void Report(string name, int length, Percentiles times) =>
    Console.WriteLine($"{name,-14} {length >> 10,5} KiB  {times}  {2 * length / times.At(0.5) / 1000,6:F2} GB/s each way");
