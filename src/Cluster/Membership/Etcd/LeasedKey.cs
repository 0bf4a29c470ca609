using Google.Protobuf;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Protos.Etcd;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>
/// A key that is there as long as this process lives: it ends with a lease that is renewed all the time, and it comes again when the
/// lease ended, because etcd or this process was away. The renewals show whether etcd lives, so nothing else has to ask.
/// </summary>
internal sealed class LeasedKey : IEtcdPart
{
    /// <summary>Renewals in the time of a lease.</summary>
    private const int Renewals = 3;

    private readonly EtcdClient _client;
    private readonly EtcdOptions _options;
    private readonly string _key;
    private readonly Func<KeyValue, string?> _conflict;
    private readonly TimeSpan _patience;
    private readonly Action<string> _note;
    private readonly SemaphoreSlim _changed = new(0);
    private ByteString _value;
    private long _lease;
    private TimeSpan _ttl;
    private bool _claimed;
    private bool _refused;

    /// <param name="client">For the end; a session gives the channel for everything else.</param>
    /// <param name="options">The time of the lease.</param>
    /// <param name="key">Nobody else's.</param>
    /// <param name="value">What to keep under it.</param>
    /// <param name="conflict">Why what is there already must not be replaced; null: it may.</param>
    /// <param name="patience">How long the first attempt waits for somebody else's key to end.</param>
    /// <param name="note">Told in a line when the key is lost to somebody else.</param>
    public LeasedKey(EtcdClient client, EtcdOptions options, string key, ByteString value, Func<KeyValue, string?> conflict, TimeSpan patience, Action<string> note) =>
        (_client, _options, _key, _value, _conflict, _patience, _note, _ttl) = (client, options, key, value, conflict, patience, note, options.Lease);

    private TimeSpan Period => _ttl / Renewals;

    /// <summary>Changes the value, as soon as etcd can be reached.</summary>
    public void Set(ByteString value)
    {
        Volatile.Write(ref _value, value);
        _changed.Release();
    }

    public async Task RunAsync(GrpcChannel channel, Action established, CancellationToken cancel)
    {
        using var renewals = await _client.StreamAsync(channel, EtcdMethods.LeaseKeepAlive, cancel);
        await RenewAsync(channel, renewals, cancel);
        await ClaimFirstAsync(channel, renewals, cancel);
        established();
        while (true)
        {
            var wanted = await _changed.WaitAsync(Period, cancel);
            while (_changed.Wait(0, CancellationToken.None))
            {
                // Several changes are one write.
            }
            if (await RenewAsync(channel, renewals, cancel) || wanted || _refused)
                TellRefusal(await TryClaimAsync(channel, cancel));
        }
    }

    /// <summary>Lets the key go, after a last value for those who watch. Does its best: what cannot be reached forgets by itself.</summary>
    public async Task EndAsync(ByteString? last)
    {
        if (!_claimed)
            return;
        _claimed = false;
        using var limit = new CancellationTokenSource(_options.CallTimeout);
        try
        {
            var channel = _client.Channel;
            if (last is not null)
            {
                Volatile.Write(ref _value, last);
                await TryClaimAsync(channel, limit.Token);
            }
            await _client.CallAsync(channel, EtcdMethods.LeaseRevoke, new LeaseRevokeRequest { ID = _lease }, limit.Token);
        }
        catch (Exception e) when (e is RpcException or MembershipException or OperationCanceledException)
        {
            // The lease ends the key.
        }
    }

    private async Task ClaimFirstAsync(GrpcChannel channel, DuplexStreamingCall<LeaseKeepAliveRequest, LeaseKeepAliveResponse> renewals, CancellationToken cancel)
    {
        var end = Environment.TickCount64 + _patience.TotalMilliseconds;
        while (await TryClaimAsync(channel, cancel) is { } refusal)
        {
            if (_claimed)
            {
                TellRefusal(refusal);
                return;
            }
            if (Environment.TickCount64 >= end)
                throw new MembershipException(refusal);
            await Task.Delay(Period / 2, cancel);
            await RenewAsync(channel, renewals, cancel);
        }
        TellRefusal(null);
        _claimed = true;
    }

    /// <summary>Writes the key, if it is free, this one's, or one that may be replaced.</summary>
    /// <returns>Why not; null: it is written.</returns>
    private async Task<string?> TryClaimAsync(GrpcChannel channel, CancellationToken cancel)
    {
        for (var revision = 0L; ;)
        {
            var response = await _client.CallAsync(channel, EtcdMethods.Txn, EtcdRequests.Put(_key, Volatile.Read(ref _value), revision, _lease), cancel);
            if (response.Succeeded)
                return null;
            var there = EtcdRequests.Found(response);
            if (there is not null && there.Lease != _lease && _conflict(there) is { } refusal)
                return refusal;
            revision = there?.ModRevision ?? 0;
        }
    }

    /// <summary>Renews the lease, or takes one where there is none any more.</summary>
    /// <returns>Whether it is a new one.</returns>
    private async Task<bool> RenewAsync(GrpcChannel channel, DuplexStreamingCall<LeaseKeepAliveRequest, LeaseKeepAliveResponse> renewals, CancellationToken cancel)
    {
        if (_lease != 0 && await AskToRenewAsync(renewals, cancel) > 0)
            return false;
        var granted = await _client.CallAsync(channel, EtcdMethods.LeaseGrant, new LeaseGrantRequest { TTL = (long)Math.Ceiling(_options.Lease.TotalSeconds) }, cancel);
        if (granted.Error.Length > 0 || granted.ID == 0)
            throw new RpcException(GrpcStatusCode.Unavailable, $"no lease is granted: {granted.Error}");
        (_lease, _ttl) = (granted.ID, TimeSpan.FromSeconds(Math.Clamp(granted.TTL, 1, 3600)));
        return true;
    }

    /// <returns>Seconds that the lease has; 0: it has ended.</returns>
    private async Task<long> AskToRenewAsync(DuplexStreamingCall<LeaseKeepAliveRequest, LeaseKeepAliveResponse> renewals, CancellationToken cancel)
    {
        // So that silence is noticed before the lease can end.
        var limit = _options.CallTimeout < Period ? _options.CallTimeout : Period;
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        either.CancelAfter(limit);
        try
        {
            await renewals.WriteAsync(new LeaseKeepAliveRequest { ID = _lease }, either.Token);
            if (!await renewals.Responses.MoveNextAsync(either.Token))
                throw new RpcException(GrpcStatusCode.Unavailable, "it ended the renewals of leases");
            return renewals.Responses.Current.TTL;
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new RpcException(GrpcStatusCode.DeadlineExceeded, $"no answer for {limit.TotalSeconds:0.#} s");
        }
    }

    private void TellRefusal(string? refusal)
    {
        if (refusal is not null && !_refused)
            _note($"{refusal}; until then this process is not part of the cluster");
        _refused = refusal is not null;
    }
}
