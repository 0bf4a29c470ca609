using System.Security.Authentication;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Coordinator.Workers;

/// <summary>
/// One worker of the cluster for as long as the cluster lives: its present connection, and the next one when that broke.
/// Everything is for any thread.
/// </summary>
public sealed class WorkerLink : IAsyncDisposable
{
    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);

    private readonly Plan _plan;
    private readonly string _fingerprint;
    private readonly Action<WorkerLink> _changed;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly Task _running;
    private CancellationTokenSource _attempt = new();
    private string _address;
    private string? _obstacle;
    private Session _session;

    /// <param name="connection">The first; owned from now on.</param>
    /// <param name="plan">What bundles there are.</param>
    /// <param name="fingerprint">The model's; a worker with another is not taken back.</param>
    /// <param name="changed">Told when the worker is lost and when it is back.</param>
    internal WorkerLink(WorkerConnection connection, Plan plan, string fingerprint, Action<WorkerLink> changed)
    {
        (Id, _address, _plan, _fingerprint, _changed) = (connection.Id, connection.Address, plan, fingerprint, changed);
        _session = new Session(connection, WorkerCoverage.Held(plan, connection));
        _running = RunAsync();
    }

    public string Id { get; }

    /// <summary>The present connection, or the last one where the worker is lost.</summary>
    public WorkerConnection Connection => Volatile.Read(ref _session).Connection;

    public bool IsReady => !Connection.IsLost;

    /// <summary>The tiles of the plan that can be asked for now; none of a lost worker.</summary>
    public IReadOnlySet<TileId> Held => Volatile.Read(ref _session) is { Connection.IsLost: false } session ? session.Held : new HashSet<TileId>();

    /// <summary>What had to be done because of this worker.</summary>
    public DispatchOutcomes Outcomes { get; } = new();

    /// <summary>How it is, for a message about tiles that it should compute.</summary>
    internal string Describe()
    {
        lock (_gate)
            return $"worker {Id} at {_address} {(IsReady ? "does not hold them" : _obstacle ?? "is lost")}";
    }

    /// <summary>The connection to ask for a bundle now; null where the worker is lost or lacks some of it.</summary>
    internal WorkerConnection? For(Bundle bundle)
    {
        var session = Volatile.Read(ref _session);
        return !session.Connection.IsLost && bundle.Tiles.All(session.Held.Contains) ? session.Connection : null;
    }

    /// <summary>The worker is somewhere else from now on: the next attempt goes there, at once.</summary>
    internal void SetAddress(string address)
    {
        CancellationTokenSource stale;
        lock (_gate)
            (_address, stale, _attempt) = (address, _attempt, new CancellationTokenSource());
        stale.Cancel();
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _running;
        await Connection.DisposeAsync();
        _closing.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            while (true)
            {
                var broken = Connection;
                await broken.Ended.WaitAsync(_closing.Token);
                _changed(this);
                var session = await ReconnectAsync();
                Volatile.Write(ref _session, session);
                SetObstacle(null);
                _changed(this);
                await broken.DisposeAsync();
            }
        }
        catch (OperationCanceledException)
        {
            // Disposed.
        }
    }

    private async Task<Session> ReconnectAsync()
    {
        for (var pause = ShortestPause; ; pause = pause + pause < LongestPause ? pause + pause : LongestPause)
        {
            string address;
            CancellationToken moved;
            lock (_gate)
                (address, moved) = (_address, _attempt.Token);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token, moved);
            try
            {
                var connection = await WorkerConnection.ConnectAsync(address, Connection.Tls, Id, either.Token);
                if (connection.Id == Id && connection.Description.Fingerprint == _fingerprint)
                    return new Session(connection, WorkerCoverage.Held(_plan, connection));
                SetObstacle(connection.Id == Id ? "came back with other weights" : $"is lost, and {connection.Id} answers there");
                await connection.DisposeAsync();
            }
            catch (Exception e) when (e is RpcException or IOException or ObjectDisposedException)
            {
                // Not there yet.
                SetObstacle(null);
            }
            catch (AuthenticationException e)
            {
                SetObstacle($"is lost: {e.Message}");
            }
            catch (OperationCanceledException) when (moved.IsCancellationRequested && !_closing.IsCancellationRequested)
            {
                pause = ShortestPause / 2;
                continue;
            }
            await Task.Delay(pause, either.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _closing.Token.ThrowIfCancellationRequested();
        }
    }

    private void SetObstacle(string? obstacle)
    {
        lock (_gate)
            _obstacle = obstacle;
    }

    /// <summary>A connection and what can be asked for on it.</summary>
    private sealed record Session(WorkerConnection Connection, IReadOnlySet<TileId> Held);
}
