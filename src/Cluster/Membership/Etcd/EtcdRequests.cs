using Google.Protobuf;
using Grok1Cluster.Protos.Etcd;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>The transactions that are used.</summary>
internal static class EtcdRequests
{
    /// <summary>Writes a key if its last change is of this revision, 0 for a key that is not there; else reads it.</summary>
    /// <param name="lease">The lease that the key ends with; 0: none.</param>
    public static TxnRequest Put(string key, ByteString value, long ifRevision, long lease = 0) => IfUnchanged(key, ifRevision,
        new RequestOp { RequestPut = new PutRequest { Key = ByteString.CopyFromUtf8(key), Value = value, Lease = lease } });

    /// <summary>Deletes a key if its last change is of this revision; else reads it.</summary>
    public static TxnRequest Delete(string key, long ifRevision) => IfUnchanged(key, ifRevision,
        new RequestOp { RequestDeleteRange = new DeleteRangeRequest { Key = ByteString.CopyFromUtf8(key) } });

    /// <summary>What a transaction of these found in place of what it wanted; null: nothing.</summary>
    public static KeyValue? Found(TxnResponse response) => response.Responses.FirstOrDefault()?.ResponseRange?.Kvs.FirstOrDefault();

    private static TxnRequest IfUnchanged(string key, long revision, RequestOp change) => new()
    {
        Compare = { new Compare { Key = ByteString.CopyFromUtf8(key), Target = Compare.Types.CompareTarget.Mod, ModRevision = revision } },
        Success = { change },
        Failure = { new RequestOp { RequestRange = new RangeRequest { Key = ByteString.CopyFromUtf8(key) } } },
    };
}
