using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>Something that needs etcd all the time.</summary>
internal interface IEtcdPart
{
    /// <summary>Works on one channel until that fails, which is an exception.</summary>
    /// <param name="established">To be called when it works.</param>
    /// <exception cref="MembershipException">It is refused, and trying again does not help a process that starts.</exception>
    Task RunAsync(GrpcChannel channel, Action established, CancellationToken cancel);
}

/// <summary>
/// Keeps parts at work on one endpoint of etcd. When one of them fails, all begin again on the next endpoint, after a pause that
/// grows from 50 ms to 1 s and is different for everybody, because all processes lose etcd at the same moment.
/// </summary>
internal sealed class EtcdSession : IAsyncDisposable
{
    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);

    private readonly EtcdClient _client;
    private readonly IReadOnlyList<IEtcdPart> _parts;
    private readonly Action<string> _note;
    private readonly Action _changed;
    // Not disposed: it holds nothing, and a session may be disposed twice.
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _first = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _running = Task.CompletedTask;
    private Exception? _fault;
    private int _missing;

    /// <param name="client">Not owned.</param>
    /// <param name="parts">What is to work.</param>
    /// <param name="note">Told in a line when etcd does not answer, is lost, and is back.</param>
    /// <param name="changed">Called when <see cref="IsConnected"/> changed.</param>
    public EtcdSession(EtcdClient client, IReadOnlyList<IEtcdPart> parts, Action<string> note, Action changed) =>
        (_client, _parts, _note, _changed, _missing) = (client, parts, note, changed, parts.Count);

    /// <summary>Whether every part works.</summary>
    public bool IsConnected => Volatile.Read(ref _missing) == 0;

    /// <summary>Begins, and waits until every part works.</summary>
    /// <exception cref="MembershipException">A part was refused, or etcd did not answer in time.</exception>
    public async Task StartAsync(TimeSpan timeout, CancellationToken cancel)
    {
        _running = Task.Run(RunAsync, CancellationToken.None);
        try
        {
            await _first.Task.WaitAsync(timeout, cancel);
        }
        catch (TimeoutException)
        {
            throw _client.Silent(Volatile.Read(ref _fault));
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _running;
    }

    private async Task RunAsync()
    {
        for (var pause = ShortestPause; ; pause = pause + pause < LongestPause ? pause + pause : LongestPause)
        {
            var channel = _client.Channel;
            var fault = await RunOnceAsync(channel);
            var wasConnected = Interlocked.Exchange(ref _missing, _parts.Count) == 0;
            if (_closing.IsCancellationRequested)
                return;
            // Later it may become good again: etcd's users change while processes run.
            if (fault is MembershipException && _first.TrySetException(fault))
                return;
            if (wasConnected)
            {
                _note($"etcd at {_client.Endpoint} is away ({fault.Message}); serving goes on");
                _changed();
                pause = ShortestPause;
            }
            else if (Interlocked.Exchange(ref _fault, fault) is var last && fault is MembershipException && last?.Message != fault.Message)
                _note($"{fault.Message}; trying again");
            else if (last is null)
                _note($"etcd at {_client.Endpoints} does not answer ({fault.Message}); trying again");
            Volatile.Write(ref _fault, fault);
            _client.MoveOn(channel);
            await Task.Delay(pause * (0.5 + Random.Shared.NextDouble()), _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Returns what ended it.</summary>
    private async Task<Exception> RunOnceAsync(GrpcChannel channel)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
        var running = _parts.Select(part => part.RunAsync(channel, OnEstablished, stop.Token)).ToList();
        var ended = await Task.WhenAny(running);
        await stop.CancelAsync();
        await Task.WhenAll(running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return ended.Exception?.InnerException ?? new RpcException(GrpcStatusCode.Cancelled, "it was cancelled");
    }

    private void OnEstablished()
    {
        if (Interlocked.Decrement(ref _missing) != 0)
            return;
        if (!_first.TrySetResult())
            _note($"etcd at {_client.Endpoint} is back");
        _changed();
    }
}
