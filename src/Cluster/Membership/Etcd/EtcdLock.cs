namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>The lock that one operation at a time holds. It has a lease of its own: it ends with the process, and soon after a disposal that etcd did not hear of.</summary>
internal sealed class EtcdLock : IAsyncDisposable
{
    private readonly EtcdClient _client;
    private readonly LeasedKey _key;
    private readonly EtcdSession _session;

    private EtcdLock(EtcdOptions options, string key, LockRecord record)
    {
        _client = new EtcdClient(options);
        _key = new LeasedKey(_client, options, key, RecordJson.Write(record), there =>
            RecordJson.Read<LockRecord>(there.Value, out _) is not { } other ? null
            : $"{EtcdKeys.Printable(other.Operation)} by coordinator {EtcdKeys.Printable(other.Coordinator)} is under way; wait for it, then try again",
            patience: TimeSpan.Zero, static _ => { });
        _session = new EtcdSession(_client, [_key], static _ => { }, static () => { });
    }

    /// <exception cref="MembershipException">Somebody else holds it, or etcd does not answer.</exception>
    public static async Task<EtcdLock> TakeAsync(EtcdOptions options, string key, string operation, string coordinator, CancellationToken cancel)
    {
        var taken = new EtcdLock(options, key, new LockRecord(operation, coordinator, Guid.NewGuid().ToString("N")));
        try
        {
            await taken._session.StartAsync(options.CallTimeout * 2, cancel);
            return taken;
        }
        catch
        {
            await taken.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _session.DisposeAsync();
        await _key.EndAsync(last: null);
        _client.Dispose();
    }

    /// <param name="Operation">What changes the cluster.</param>
    /// <param name="Coordinator">Who does it.</param>
    /// <param name="Token">Different for each time that the lock is taken.</param>
    private sealed record LockRecord(string Operation, string Coordinator, string Token);
}
