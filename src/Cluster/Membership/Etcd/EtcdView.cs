using System.Collections.Immutable;
using Google.Protobuf;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Protos.Etcd;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>
/// What a cluster has in etcd, as far as it is known: checked, entry by entry, because anybody may have written it. A bad entry is
/// passed over with a line that names its key. Reads are for any thread, the watch writes.
/// </summary>
internal sealed class EtcdView : IEtcdObserver, IDisposable
{
    private const int MostNoted = 1000;

    private readonly EtcdKeys _keys;
    private readonly PlanGeometry _geometry;
    private readonly TimeSpan _grace;
    private readonly Action<string> _note;
    private readonly Action _changed;
    private readonly Timer _graceEnd;
    private readonly Lock _gate = new();
    private readonly MemberTable<WorkerRecord> _workers = new();
    private readonly MemberTable<CoordinatorRecord> _coordinators = new();
    private readonly Dictionary<string, long> _noted = [];
    private ImmutableArray<WorkerRecord> _workerList = [];
    private ImmutableArray<CoordinatorRecord> _coordinatorList = [];
    private PlanRecord? _plan;
    private long _planRevision;
    private bool _planIsOld;
    private bool _known;
    private bool _inGrace;

    /// <param name="keys">Where everything is.</param>
    /// <param name="geometry">What plans have to cover.</param>
    /// <param name="grace">How long members without a key are kept after etcd was away.</param>
    /// <param name="note">Told of bad entries.</param>
    /// <param name="changed">Called after changes.</param>
    public EtcdView(EtcdKeys keys, PlanGeometry geometry, TimeSpan grace, Action<string> note, Action changed)
    {
        (_keys, _geometry, _grace, _note, _changed) = (keys, geometry, grace, note, changed);
        _graceEnd = new Timer(_ => EndGrace());
    }

    public ImmutableArray<WorkerRecord> Workers
    {
        get
        {
            lock (_gate)
                return _workerList;
        }
    }

    public ImmutableArray<CoordinatorRecord> Coordinators
    {
        get
        {
            lock (_gate)
                return _coordinatorList;
        }
    }

    /// <summary>The plan with the highest epoch that was seen; its revision is that of the key in etcd as it is now, 0 for none.</summary>
    public PlanRecord? Plan => Volatile.Read(ref _plan);

    /// <summary>Of the key, whatever is in it; 0: there is none.</summary>
    public long PlanRevision => Volatile.Read(ref _planRevision);

    /// <summary>Whether etcd lost <see cref="Plan"/>: it has none, or one of a lower epoch.</summary>
    public bool PlanIsLost
    {
        get
        {
            lock (_gate)
                return _plan is not null && (_planRevision == 0 || _planIsOld);
        }
    }

    public void Reset(IReadOnlyList<KeyValue> all)
    {
        lock (_gate)
        {
            _inGrace = _known;
            if (_known)
                _graceEnd.Change(_grace, Timeout.InfiniteTimeSpan);
            _known = true;
            _workers.Reset(ReadAll<WorkerRecord>(all, _keys.Workers, WorkerRecord.Read), Keep);
            _coordinators.Reset(ReadAll<CoordinatorRecord>(all, _keys.Coordinators, CoordinatorRecord.Read), Keep);
            _planRevision = 0;
            if (all.FirstOrDefault(entry => entry.Key.ToStringUtf8() == _keys.Plan) is { } plan)
                SetPlan(plan);
            else
                LosePlan();
            Publish();
        }
    }

    public void Put(KeyValue entry)
    {
        var key = entry.Key.ToStringUtf8();
        lock (_gate)
        {
            if (key == _keys.Plan)
                SetPlan(entry);
            else if (Read<WorkerRecord>(entry, _keys.Workers, WorkerRecord.Read) is { } worker)
                _workers.Put(key, worker);
            else if (Read<CoordinatorRecord>(entry, _keys.Coordinators, CoordinatorRecord.Read) is { } coordinator)
                _coordinators.Put(key, coordinator);
            Publish();
        }
    }

    public void Delete(string key)
    {
        lock (_gate)
        {
            if (key == _keys.Plan)
                LosePlan();
            _workers.Remove(key, Keep);
            _coordinators.Remove(key, Keep);
            Publish();
        }
    }

    public void Flush() => _changed();

    /// <summary>This process has written a plan, of which the watch may not have told yet.</summary>
    public void Written(Plan plan, long revision)
    {
        lock (_gate)
            if (revision > _planRevision)
                TakePlan(plan, revision);
        _changed();
    }

    public void Dispose() => _graceEnd.Dispose();

    private void EndGrace()
    {
        lock (_gate)
        {
            _inGrace = false;
            _workers.DropMissing();
            _coordinators.DropMissing();
            Publish();
        }
        _changed();
    }

    private bool Keep(WorkerRecord worker) => _inGrace && !worker.Leaving;

    private bool Keep(CoordinatorRecord coordinator) => _inGrace;

    private void Publish() => (_workerList, _coordinatorList) = ([.. _workers.Values], [.. _coordinators.Values]);

    private void SetPlan(KeyValue entry)
    {
        if (entry.ModRevision <= _planRevision)
            return;
        try
        {
            TakePlan(PlanValue.Read("the plan in etcd", entry.Value, _geometry), entry.ModRevision);
        }
        catch (PlanException e)
        {
            // Perhaps of a later version, so it stays as it is; only a change that somebody asks for replaces it.
            Note(entry, e.Message);
            (_planRevision, _planIsOld) = (entry.ModRevision, false);
            _plan = _plan is null ? null : _plan with { Revision = entry.ModRevision };
        }
    }

    private void TakePlan(Plan plan, long revision)
    {
        _planIsOld = plan.Epoch < _plan?.Plan.Epoch;
        _planRevision = revision;
        _plan = new PlanRecord(_planIsOld ? _plan!.Plan : plan, revision);
    }

    private void LosePlan()
    {
        _planRevision = 0;
        _plan = _plan is null ? null : _plan with { Revision = 0 };
    }

    private delegate T? Reader<T>(string id, ByteString value, out string problem);

    private Dictionary<string, T> ReadAll<T>(IReadOnlyList<KeyValue> all, string prefix, Reader<T> read) where T : class
    {
        var found = new Dictionary<string, T>();
        foreach (var entry in all)
            if (Read(entry, prefix, read) is { } record)
                found[entry.Key.ToStringUtf8()] = record;
        return found;
    }

    private T? Read<T>(KeyValue entry, string prefix, Reader<T> read) where T : class
    {
        var key = entry.Key.ToStringUtf8();
        if (!key.StartsWith(prefix, StringComparison.Ordinal))
            return null;
        if (read(key[prefix.Length..], entry.Value, out var problem) is { } record)
            return record;
        Note(entry, problem);
        return null;
    }

    /// <summary>Each bad value once, however often everything is read.</summary>
    private void Note(KeyValue entry, string problem)
    {
        var key = entry.Key.ToStringUtf8();
        if (_noted.TryGetValue(key, out var revision) && revision == entry.ModRevision)
            return;
        if (_noted.Count == MostNoted)
            _noted.Clear();
        _noted[key] = entry.ModRevision;
        _note($"etcd: {EtcdKeys.Printable(key)} is passed over: {EtcdKeys.Printable(problem)}");
    }
}
