using Google.Protobuf;
using Grok1Cluster.Protos.Etcd;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>
/// A worker's entry in etcd. It is there as long as the worker lives and reaches etcd, comes again when it was lost, and goes when the
/// worker ends. A worker serves on without etcd.
/// </summary>
public sealed class EtcdRegistration : IAsyncDisposable
{
    private readonly EtcdClient _client;
    private readonly LeasedKey _key;
    private readonly EtcdSession _session;
    private WorkerRecord _record;

    private EtcdRegistration(EtcdOptions options, WorkerRecord record, Action<string> note)
    {
        (_record, _client) = (record, new EtcdClient(options));
        _key = new LeasedKey(_client, options, new EtcdKeys(options.Cluster).Worker(record.Id), RecordJson.Write(record), there =>
            WorkerRecord.Read(record.Id, there.Value, out _) is { } other && other.Address != record.Address
                ? $"worker id {record.Id} is taken by the worker at {other.Address}; give each its own --id, or stop that one" : null,
            options.RefusalTime, note);
        _session = new EtcdSession(_client, [_key], note, static () => { });
    }

    /// <summary>Whether etcd can be reached.</summary>
    public bool IsConnected => _session.IsConnected;

    /// <summary>Asks whether etcd is there at all: a worker that loads for minutes should know before.</summary>
    /// <exception cref="MembershipException">etcd does not answer.</exception>
    public static async Task CheckAsync(EtcdOptions options, string id, CancellationToken cancel)
    {
        using var client = new EtcdClient(options);
        await client.CallAsync(EtcdMethods.Range, new RangeRequest { Key = ByteString.CopyFromUtf8(new EtcdKeys(options.Cluster).Worker(id)) }, cancel);
    }

    /// <summary>Registers a worker that is ready; returns when it is registered.</summary>
    /// <remarks>
    /// One that is registered under this id and another address may just have died: its lease is waited for before this one is refused.
    /// </remarks>
    /// <param name="options">Where etcd is.</param>
    /// <param name="record">The worker; its id has to be a name (<see cref="EtcdOptions.IsName"/>).</param>
    /// <param name="note">Told in a line when etcd is lost or back, and when another worker took the id.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="MembershipException">etcd does not answer, or the id is another worker's.</exception>
    public static async Task<EtcdRegistration> StartAsync(EtcdOptions options, WorkerRecord record, Action<string> note, CancellationToken cancel)
    {
        var registration = new EtcdRegistration(options, record, note);
        try
        {
            await registration._session.StartAsync(options.StartLimit, cancel);
            return registration;
        }
        catch
        {
            await registration.DisposeAsync();
            throw;
        }
    }

    /// <summary>The worker has changed: holds other tiles, or is leaving. It is written as soon as etcd can be reached.</summary>
    public void Update(WorkerRecord record)
    {
        Volatile.Write(ref _record, record);
        _key.Set(RecordJson.Write(record));
    }

    /// <summary>The worker ends: coordinators see it leave, then it is gone.</summary>
    public async ValueTask DisposeAsync()
    {
        await _session.DisposeAsync();
        await _key.EndAsync(RecordJson.Write(Volatile.Read(ref _record) with { Leaving = true }));
        _client.Dispose();
    }
}
