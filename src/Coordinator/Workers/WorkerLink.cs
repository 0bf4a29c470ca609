using System.Security.Authentication;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Workers.Health;
using Grok1Cluster.Grpc;
using Polly;
using Polly.Retry;

namespace Grok1Cluster.Coordinator.Workers;

/// <summary>
/// One worker of the cluster for as long as the cluster lives: its present connection, and the next one when that broke.
/// Everything is for any thread.
/// </summary>
public sealed class WorkerLink : IAsyncDisposable
{
    /// <summary>Tries again until it succeeds or is cancelled. With chance in the pauses, so that coordinators do not come all at once.</summary>
    private static readonly ResiliencePipeline<WorkerConnection?> UntilBack = new ResiliencePipelineBuilder<WorkerConnection?>().AddRetry(new RetryStrategyOptions<WorkerConnection?>
    {
        MaxRetryAttempts = int.MaxValue,
        Delay = TimeSpan.FromMilliseconds(50),
        MaxDelay = TimeSpan.FromSeconds(1),
        BackoffType = DelayBackoffType.Exponential,
        UseJitter = true,
        ShouldHandle = static attempt => ValueTask.FromResult(attempt.Outcome is { Exception: null, Result: null }),
    }).Build();

    private readonly string _fingerprint;
    private readonly Action<WorkerLink, WorkerChange> _changed;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly Task _running;
    private CancellationTokenSource _attempt = new();
    private string _address;
    private string? _obstacle;
    private bool _connecting;
    private WorkerConnection _connection;

    /// <param name="connection">The first; owned from now on.</param>
    /// <param name="fingerprint">The model's; a worker with another is not taken back.</param>
    /// <param name="changed">Told when the worker is lost, when it is back and when it holds something else.</param>
    internal WorkerLink(WorkerConnection connection, string fingerprint, Action<WorkerLink, WorkerChange> changed)
    {
        (Id, _address, _connection, _fingerprint, _changed) = (connection.Id, connection.Address, connection, fingerprint, changed);
        _running = RunAsync();
    }

    public string Id { get; }

    /// <summary>The present connection, or the last one where the worker is lost.</summary>
    public WorkerConnection Connection => Volatile.Read(ref _connection);

    public bool IsReady => !Connection.IsLost;

    /// <summary>The tiles of a plan that can be asked for now; none of a worker that is lost or distrusted.</summary>
    public IReadOnlySet<TileId> Held(Plan plan) => Connection is { IsLost: false } connection && IsTrusted ? connection.Held.TilesOf(plan) : new HashSet<TileId>();

    /// <summary>What had to be done because of this worker.</summary>
    public DispatchOutcomes Outcomes { get; } = new();

    /// <summary>How it does what it is asked for.</summary>
    public WorkerHealth Health { get; } = new(TimeProvider.System);

    /// <summary>How it is, for a message about tiles that it should compute.</summary>
    internal string Describe()
    {
        lock (_gate)
            return $"worker {Id} at {_address} {(!IsReady ? _obstacle ?? "is lost" : IsTrusted ? "does not hold them" : "computed something else than two others")}";
    }

    /// <summary>The connection to ask for a bundle now; null where the worker is lost, lacks some of it or is distrusted.</summary>
    internal WorkerConnection? For(Bundle bundle, Plan plan) =>
        Connection is { IsLost: false } connection && IsTrusted && connection.Held.HasAll(bundle, plan) ? connection : null;

    /// <summary>Asks the worker again what it holds, after it was told to hold more or less.</summary>
    /// <exception cref="RpcException">No answer.</exception>
    public async Task RefreshAsync(CancellationToken cancel)
    {
        await Connection.RefreshAsync(cancel);
        _changed(this, WorkerChange.HoldsOther);
    }

    private bool IsTrusted => Health.Standing != WorkerStanding.Distrusted;

    /// <summary>The worker is there from now on: the next attempt goes there, at once.</summary>
    internal void SetAddress(string address)
    {
        CancellationTokenSource stale;
        lock (_gate)
        {
            // Told again and again, it would never finish one that takes longer.
            if (_connecting && address == _address)
                return;
            (_address, stale, _attempt) = (address, _attempt, new CancellationTokenSource());
        }
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
                _changed(this, WorkerChange.Lost);
                Volatile.Write(ref _connection, await ReconnectAsync());
                SetObstacle(null);
                _changed(this, WorkerChange.Back);
                await broken.DisposeAsync();
            }
        }
        catch (OperationCanceledException)
        {
            // Disposed.
        }
    }

    private async Task<WorkerConnection> ReconnectAsync()
    {
        while (true)
        {
            string address;
            CancellationToken moved;
            lock (_gate)
                (address, moved) = (_address, _attempt.Token);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token, moved);
            try
            {
                return (await UntilBack.ExecuteAsync(async cancel => await TryConnectAsync(address, cancel), either.Token))!;
            }
            catch (OperationCanceledException) when (moved.IsCancellationRequested && !_closing.IsCancellationRequested)
            {
                // Somewhere else, at once.
            }
        }
    }

    /// <summary>Null when it is not there, or is not this worker.</summary>
    private async ValueTask<WorkerConnection?> TryConnectAsync(string address, CancellationToken cancel)
    {
        lock (_gate)
            _connecting = true;
        try
        {
            var connection = await WorkerConnection.ConnectAsync(address, Connection.Tls, Id, cancel);
            if (connection.Id == Id && connection.Description.Fingerprint == _fingerprint)
            {
                if (connection.Description.ProcessId != Connection.Description.ProcessId)
                    Health.Renew();
                return connection;
            }
            SetObstacle(connection.Id == Id ? "came back with other weights" : $"is lost, and {connection.Id} answers there");
            await connection.DisposeAsync();
        }
        catch (Exception e) when (e is RpcException or IOException or ObjectDisposedException)
        {
            cancel.ThrowIfCancellationRequested();
            SetObstacle(e is RpcException { Code: GrpcStatusCode.FailedPrecondition } refused ? $"is lost: {refused.Status.Message}" : null);
        }
        catch (AuthenticationException e)
        {
            SetObstacle($"is lost: {e.Message}");
        }
        finally
        {
            lock (_gate)
                _connecting = false;
        }
        return null;
    }

    private void SetObstacle(string? obstacle)
    {
        lock (_gate)
            _obstacle = obstacle;
    }
}
