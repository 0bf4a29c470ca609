using Google.Protobuf;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Protos.Etcd;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>Who is told what is under a prefix. Called by one thread at a time.</summary>
internal interface IEtcdObserver
{
    /// <summary>Everything that there is, as of one revision.</summary>
    void Reset(IReadOnlyList<KeyValue> all);

    /// <summary>A key has a new value.</summary>
    void Put(KeyValue entry);

    /// <summary>A key is gone.</summary>
    void Delete(string key);

    /// <summary>Those were all changes of a moment.</summary>
    void Flush();
}

/// <summary>
/// Keeps an observer up to date with a prefix. It begins with a read of everything and watches from there, each time again: so it
/// does not matter whether etcd was compacted, wiped or restored in between, and revisions went on, began anew or went back.
/// </summary>
internal sealed class EtcdWatch(EtcdClient client, EtcdOptions options, string prefix, IEtcdObserver observer) : IEtcdPart
{
    public async Task RunAsync(GrpcChannel channel, Action established, CancellationToken cancel)
    {
        var all = await client.CallAsync(channel, EtcdMethods.Range, client.All(prefix), cancel);
        // After the read, which has seen to it that the token is good.
        using var watch = await client.StreamAsync(channel, EtcdMethods.Watch, cancel);
        await BeginAsync(watch, all.Header.Revision + 1, cancel);
        observer.Reset(all.Kvs);
        observer.Flush();
        established();
        while (await watch.Responses.MoveNextAsync(cancel))
        {
            Check(watch.Responses.Current);
            foreach (var change in watch.Responses.Current.Events)
                if (change.Type == Event.Types.EventType.Put)
                    observer.Put(change.Kv);
                else
                    observer.Delete(change.Kv.Key.ToStringUtf8());
            observer.Flush();
        }
        throw new RpcException(GrpcStatusCode.Unavailable, "it ended the watch");
    }

    private async Task BeginAsync(DuplexStreamingCall<WatchRequest, WatchResponse> watch, long revision, CancellationToken cancel)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        either.CancelAfter(options.CallTimeout);
        try
        {
            await watch.WriteAsync(new WatchRequest
            {
                CreateRequest = new WatchCreateRequest { Key = ByteString.CopyFromUtf8(prefix), RangeEnd = EtcdKeys.EndOf(prefix), StartRevision = revision, Fragment = true },
            }, either.Token);
            if (!await watch.Responses.MoveNextAsync(either.Token) || !watch.Responses.Current.Created)
                throw new RpcException(GrpcStatusCode.Unavailable, "it did not begin the watch");
            Check(watch.Responses.Current);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new RpcException(GrpcStatusCode.DeadlineExceeded, "the watch did not begin in time");
        }
    }

    private static void Check(WatchResponse response)
    {
        if (response.Canceled)
            throw new RpcException(GrpcStatusCode.Aborted, response.CompactRevision > 0
                ? "the revision to watch from was compacted" : $"it cancelled the watch: {response.CancelReason}");
    }
}
