using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;

namespace Grok1Cluster.Coordinator.Bench.Wire;

/// <summary>
/// What the wire adds to a dispatch: echoed messages by size and number of peers, beside bare sockets in the same run. Both
/// ends are in this process, which has nothing else to do meanwhile.
/// </summary>
public static class WireBenchmark
{
    /// <summary>One token with whole experts, a batch, and a chunk of prefill.</summary>
    private static readonly (int Bytes, int RoundShare, int[] FanOuts)[] Sizes = [(12 << 10, 1, [2, 4, 8]), (192 << 10, 4, [2, 8]), (4 << 20, 100, [])];

    /// <summary>What the threads of our own servers are called.</summary>
    private const string FarThreads = "http2-server";

    /// <summary>Measures every size over TCP and a Unix socket, and fan-outs over TCP.</summary>
    /// <param name="transport">Which HTTP/2.</param>
    /// <param name="mutualTls">Whether to measure TLS on both sides as well.</param>
    /// <param name="rounds">Of the smallest message; larger ones get fewer.</param>
    /// <param name="warmUp">Before each measurement, at least.</param>
    /// <param name="wanted">Which to measure, by <c>OVER/KiB/PEERS</c> such as <c>tcp/12/8</c>.</param>
    /// <param name="done">Told of each result.</param>
    /// <param name="cancel">Looked at between results.</param>
    public static async Task RunAsync(GrpcTransport transport, bool mutualTls, int rounds, TimeSpan warmUp, Func<string, bool> wanted, Action<WireResult> done, CancellationToken cancel)
    {
        var folder = Directory.CreateTempSubdirectory("grok1-wire-");
        try
        {
            foreach (var (bytes, share, fanOuts) in Sizes)
            {
                (string Over, int FanOut)[] cases = [("tcp", 1), ("unix", 1), .. mutualTls ? [("mtls", 1)] : Array.Empty<(string, int)>(), .. fanOuts.Select(peers => ("tcp", peers))];
                foreach (var (over, fanOut) in cases)
                {
                    cancel.ThrowIfCancellationRequested();
                    if (!wanted($"{over}/{bytes >> 10}/{fanOut}"))
                        continue;
                    var raw = Raw(over == "unix" ? Path.Combine(folder.FullName, "raw") : null, bytes, fanOut, rounds / share, warmUp);
                    var listen = over == "unix" ? $"unix:{Path.Combine(folder.FullName, "grpc")}" : "127.0.0.1:0";
                    var own = fanOut == 1 ? await SingleAsync(listen, transport, over == "mtls", bytes, rounds / share, warmUp) : await FanAsync(transport, bytes, fanOut, rounds / share, warmUp);
                    done(Result(transport, over, bytes, fanOut, own, raw));
                }
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static Percentiles Raw(string? unixPath, int bytes, int fanOut, int rounds, TimeSpan warmUp)
    {
        using var raw = new RawEcho(unixPath, bytes, fanOut);
        var times = new Percentiles(rounds, warmUp).Measure(raw.RoundTrip, RawEcho.FarThreads);
        if (unixPath is not null)
            File.Delete(unixPath);
        return times;
    }

    private static async Task<Percentiles> SingleAsync(string listen, GrpcTransport transport, bool mutualTls, int bytes, int rounds, TimeSpan warmUp)
    {
        await using var server = await EchoServer.StartAsync(listen, transport, mutualTls);
        using var channel = server.Channel();
        using var call = channel.DuplexStreaming(Messages.Echo, new GrpcCallOptions { Scheduling = MessageScheduling.Inline }, CancellationToken.None);
        var message = new byte[bytes];
        var responses = new BlockingMessageReader<ReadOnlyMemory<byte>>(call.Responses);
        return new Percentiles(rounds, warmUp).Measure(() =>
        {
            call.Write(message, CancellationToken.None);
            // Beside what it waits for, on the same cores, the dispatcher does not spin either.
            responses.MoveNext(TimeSpan.Zero, CancellationToken.None);
        }, FarThreads);
    }

    private static async Task<Percentiles> FanAsync(GrpcTransport transport, int bytes, int fanOut, int rounds, TimeSpan warmUp)
    {
        var servers = await Task.WhenAll(Enumerable.Range(0, fanOut).Select(_ => EchoServer.StartAsync("127.0.0.1:0", transport, mutualTls: false)));
        var channels = servers.Select(server => server.Channel()).ToArray();
        var calls = channels.Select(channel =>
            channel.DuplexStreaming(Messages.Echo, new GrpcCallOptions { Scheduling = MessageScheduling.Inline }, CancellationToken.None)).ToArray();
        var left = 0;
        using var gathered = new ManualResetEventSlim(false, spinCount: 0);
        var reading = calls.Select(ReadAsync).ToArray();
        var message = new byte[bytes];
        var times = new Percentiles(rounds, warmUp).Measure(() =>
        {
            gathered.Reset();
            Volatile.Write(ref left, fanOut);
            foreach (var call in calls)
                call.Write(message, CancellationToken.None);
            gathered.Wait();
        }, FarThreads);
        foreach (var call in calls)
            await call.CompleteAsync(CancellationToken.None);
        await Task.WhenAll(reading);
        foreach (var channel in channels)
            channel.Dispose();
        foreach (var server in servers)
            await server.DisposeAsync();
        return times;

        // The last answer of a round wakes the thread that waits for all of them.
        async Task ReadAsync(DuplexStreamingCall<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> call)
        {
            while (await call.Responses.MoveNextAsync(CancellationToken.None))
                if (Interlocked.Decrement(ref left) == 0)
                    gathered.Set();
        }
    }

    private static WireResult Result(GrpcTransport transport, string over, int bytes, int fanOut, Percentiles own, Percentiles raw) =>
        new(transport == GrpcTransport.Own ? over : $"stock {over}", bytes, fanOut, own.At(0.5), own.At(0.99), own.At(0.999), own.CpuMicroseconds)
        {
            // The stock transport serves both ends by the thread pool.
            NearCpuUs = transport == GrpcTransport.Own ? own.CpuMicroseconds - own.FarCpuMicroseconds : null,
            RawP50Us = raw.At(0.5),
            RawP99Us = raw.At(0.99),
            RawP999Us = raw.At(0.999),
            RawCpuUs = raw.CpuMicroseconds,
            RawNearCpuUs = raw.CpuMicroseconds - raw.FarCpuMicroseconds,
        };
}
