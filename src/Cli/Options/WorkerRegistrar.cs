using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Membership.Etcd;
using Grok1Cluster.ExpertWorker;

namespace Grok1Cluster.Cli.Options;

/// <summary>Registers a worker in etcd.</summary>
/// <param name="etcd">Where it is.</param>
/// <param name="advertise">The address to register; null: where the worker listens.</param>
/// <param name="note">Told what a person should know.</param>
internal sealed class WorkerRegistrar(EtcdOptions etcd, string? advertise, Action<string> note)
{
    private readonly string _instance = Guid.NewGuid().ToString("N");

    /// <summary>Before the weights are loaded.</summary>
    /// <exception cref="MembershipException">etcd does not answer.</exception>
    public Task CheckAsync(string id, CancellationToken cancel) => EtcdRegistration.CheckAsync(etcd, id, cancel);

    /// <summary>When the worker is ready. If etcd has gone in the meantime it is waited for: the weights are loaded.</summary>
    /// <exception cref="MembershipException">The id is another worker's.</exception>
    public async Task<RegisteredWorker> RegisterAsync(ExpertWorkerHost worker, CancellationToken cancel) => new(
        worker, await EtcdRegistration.StartAsync(etcd with { StartTimeout = Timeout.InfiniteTimeSpan }, Record(worker), note, cancel), () => Record(worker));

    private WorkerRecord Record(ExpertWorkerHost worker) => WorkerRecord.Of(worker.Describe(), advertise ?? worker.Address.ToString(), _instance);
}

/// <summary>A worker whose entry in etcd follows what it holds, and which goes when this is disposed.</summary>
internal sealed class RegisteredWorker : IAsyncDisposable
{
    private readonly ExpertWorkerHost _worker;
    private readonly EtcdRegistration _registration;
    private readonly Func<WorkerRecord> _record;
    private volatile bool _leaving;

    /// <param name="worker">Not owned.</param>
    /// <param name="registration">Owned.</param>
    /// <param name="record">What the worker is now.</param>
    public RegisteredWorker(ExpertWorkerHost worker, EtcdRegistration registration, Func<WorkerRecord> record)
    {
        (_worker, _registration, _record) = (worker, registration, record);
        worker.TilesChanged += Update;
        // What changed while it registered.
        Update();
    }

    /// <summary>The worker ends as soon as the calls it has are answered.</summary>
    public void Leave()
    {
        _leaving = true;
        Update();
    }

    public async ValueTask DisposeAsync()
    {
        _worker.TilesChanged -= Update;
        await _registration.DisposeAsync();
    }

    private void Update() => _registration.Update(_record() with { Leaving = _leaving });
}
