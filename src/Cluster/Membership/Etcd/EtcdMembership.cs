using System.Collections.Immutable;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>
/// The state of a cluster in etcd, seen by one of its coordinators. Workers register themselves (<see cref="EtcdRegistration"/>).
/// A plan that etcd lost, because it was wiped or restored, is written again by whoever knows it.
/// </summary>
public sealed class EtcdMembership : IMembership
{
    private readonly EtcdClient _client;
    private readonly EtcdOptions _options;
    private readonly EtcdKeys _keys;
    private readonly LeasedKey _self;
    private readonly EtcdSession _session;
    private readonly EtcdView _view;
    private readonly ChangeSignal _signal;
    private readonly Action<string> _note;
    private readonly Lock _gate = new();
    private CoordinatorRecord _record;

    private EtcdMembership(EtcdOptions options, CoordinatorRecord record, PlanGeometry geometry, Action<string> note)
    {
        (_options, _record, _keys, _client, _note) = (options, record, new EtcdKeys(options.Cluster), new EtcdClient(options), note);
        _signal = new ChangeSignal(OnChangedAsync);
        _view = new EtcdView(_keys, geometry, options.Grace, note, () => _signal.Set());
        _self = new LeasedKey(_client, options, _keys.Coordinator(record.Id), RecordJson.Write(record), there =>
            CoordinatorRecord.Read(record.Id, there.Value, out _) is { } other && other.Address != record.Address
                ? $"coordinator id {record.Id} is taken by the coordinator at {other.Address}; give each its own --coordinator-id, or stop that one" : null,
            options.RefusalTime, note);
        _session = new EtcdSession(_client, [_self, new EtcdWatch(_client, options, _keys.Prefix, _view)], note, () => _signal.Set());
    }

    public IReadOnlyList<WorkerMember> Workers => _view.Workers.Select(worker => new WorkerMember(worker.Id, worker.Address, worker.Leaving)).ToImmutableArray();

    public PlanRecord? Plan => _view.Plan;

    public bool IsConnected => _session.IsConnected;

    /// <summary>The coordinators that live, this one included.</summary>
    public IReadOnlyList<CoordinatorRecord> Coordinators => _view.Coordinators;

    public event Action? Changed;

    /// <summary>Registers a coordinator, and reads what there is.</summary>
    /// <param name="options">Where etcd is.</param>
    /// <param name="id">The coordinator's, unlike that of any other.</param>
    /// <param name="address">Of its HTTP API.</param>
    /// <param name="geometry">Of the model: what a plan has to cover.</param>
    /// <param name="note">Told in a line when etcd is lost or back, and what is wrong in it.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="MembershipException">etcd does not answer, or the id is another's.</exception>
    public static async Task<EtcdMembership> OpenAsync(
        EtcdOptions options, string id, string address, PlanGeometry geometry, Action<string> note, CancellationToken cancel)
    {
        var version = typeof(EtcdMembership).Assembly.GetName().Version?.ToString(3) ?? "";
        var membership = new EtcdMembership(options, new CoordinatorRecord(id, address, Epoch: 0, version), geometry, note);
        try
        {
            await membership._session.StartAsync(options.StartLimit, cancel);
            return membership;
        }
        catch
        {
            await membership.DisposeAsync();
            throw;
        }
    }

    public Task AddWorkerAsync(string address, CancellationToken cancel) => throw new MembershipException(
        $"workers of this cluster register themselves: start the one at {address} with --etcd {string.Join(',', _options.Endpoints)} --cluster {_options.Cluster}");

    /// <summary>Takes what is registered for an address out of etcd. A worker that still runs there registers again when it next loses etcd.</summary>
    public async Task RemoveWorkerAsync(string address, CancellationToken cancel)
    {
        foreach (var worker in _view.Workers.Where(worker => worker.Address == address))
        {
            var key = _keys.Worker(worker.Id);
            for (var revision = 0L; ;)
            {
                var response = await ChangeAsync(EtcdRequests.Delete(key, revision), cancel);
                if (response.Succeeded || EtcdRequests.Found(response) is not { } there || WorkerRecord.Read(worker.Id, there.Value, out _) is { } now && now.Address != address)
                    break;
                revision = there.ModRevision;
            }
        }
    }

    public async Task<bool> TrySetPlanAsync(Plan next, PlanRecord? expected, CancellationToken cancel)
    {
        if (next.Epoch <= expected?.Plan.Epoch)
            throw new ArgumentException($"epoch {next.Epoch} is not higher than {expected.Plan.Epoch}", nameof(next));
        // A key whose value is no plan for this model may be replaced where no plan is expected.
        if (expected is null && _view.Plan is not null)
            return false;
        return await WritePlanAsync(next, expected?.Revision ?? _view.PlanRevision, cancel);
    }

    public Task AcknowledgeAsync(long epoch, CancellationToken cancel)
    {
        lock (_gate)
        {
            if (epoch <= _record.Epoch)
                return Task.CompletedTask;
            _record = _record with { Epoch = epoch };
            _self.Set(RecordJson.Write(_record));
        }
        return Task.CompletedTask;
    }

    public async Task WaitForAcknowledgementsAsync(long epoch, CancellationToken cancel)
    {
        using var limited = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limited.CancelAfter(_options.AcknowledgementTimeout);
        while (true)
        {
            var next = _signal.Next;
            if (!IsConnected)
                throw Away();
            var behind = Behind(epoch);
            if (behind.Count == 0)
                return;
            try
            {
                await next.WaitAsync(limited.Token);
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                throw new MembershipException(
                    $"plan {epoch} holds, but after {_options.AcknowledgementTimeout.TotalSeconds:0} s still calls by an earlier one: {string.Join(", ", behind)}; look at its log, or restart it. " +
                    "What workers held for the plan before stays in their memory until they are restarted");
            }
        }
    }

    /// <summary>Coordinators that may still call by a plan before this epoch. One that has no plan yet waits for workers, and begins with whatever plan holds then.</summary>
    private List<string> Behind(long epoch) =>
        [.. _view.Coordinators.Where(coordinator => coordinator.Epoch != 0).Append(_record).Where(coordinator => coordinator.Epoch < epoch)
            .Select(coordinator => $"coordinator {coordinator.Id} at {coordinator.Address}").Distinct()];

    public async Task<IAsyncDisposable> LockAsync(string operation, CancellationToken cancel)
    {
        if (!IsConnected)
            throw Away();
        return await EtcdLock.TakeAsync(_options, _keys.Lock, operation, _record.Id, cancel);
    }

    public async ValueTask DisposeAsync()
    {
        await _session.DisposeAsync();
        await _self.EndAsync(last: null);
        await _signal.DisposeAsync();
        _view.Dispose();
        _client.Dispose();
    }

    private async Task OnChangedAsync()
    {
        if (_view.PlanIsLost && IsConnected && _view.Plan is { } plan)
            try
            {
                await WritePlanAsync(plan.Plan, plan.Revision, CancellationToken.None);
            }
            catch (MembershipException)
            {
                // The next time that etcd is back.
            }
        try
        {
            Changed?.Invoke();
        }
        catch (Exception e)
        {
            _note($"membership: a change was not taken in: {e.GetType().Name}: {e.Message}");
        }
    }

    private async Task<bool> WritePlanAsync(Plan plan, long revision, CancellationToken cancel)
    {
        var value = PlanValue.Write(plan);
        var response = await ChangeAsync(EtcdRequests.Put(_keys.Plan, value, revision), cancel);
        var there = EtcdRequests.Found(response);
        if (response.Succeeded)
            _view.Written(plan, response.Header.Revision);
        // The first of two attempts may have arrived, and the answer to it may not.
        else if (there?.Value == value)
            _view.Written(plan, there.ModRevision);
        else
        {
            // Known from now on, though the watch may tell of it later: what was brought in for this plan may be needed by that one.
            if (there is not null)
                _view.Put(there);
            return false;
        }
        return true;
    }

    private async Task<Protos.Etcd.TxnResponse> ChangeAsync(Protos.Etcd.TxnRequest change, CancellationToken cancel)
    {
        try
        {
            return await _client.CallAsync(EtcdMethods.Txn, change, cancel);
        }
        catch (RpcException refusal)
        {
            throw new MembershipException($"etcd at {_client.Endpoint} refused a change: {refusal.Message}", refusal);
        }
    }

    private MembershipException Away() => new($"etcd at {_client.Endpoints} is away; what is running goes on, but nothing can be changed until it is back");
}
