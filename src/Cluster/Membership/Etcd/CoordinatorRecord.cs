using Google.Protobuf;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>What a coordinator says of itself in etcd.</summary>
/// <param name="Id">The end of its key.</param>
/// <param name="Address">Of its HTTP API.</param>
/// <param name="Epoch">It dispatches by the plan of this epoch or a later one; 0: by none yet.</param>
/// <param name="Version">Of the program.</param>
public sealed record CoordinatorRecord(string Id, string Address, long Epoch, string Version)
{
    /// <summary>The record under a key, if it is a good one.</summary>
    /// <param name="id">The end of its key.</param>
    /// <param name="problem">Why there is none.</param>
    internal static CoordinatorRecord? Read(string id, ByteString value, out string problem)
    {
        if (RecordJson.Read<CoordinatorRecord>(value, out problem) is not { } record)
            return null;
        problem = MemberRules.Problem(id, record.Id, record.Address);
        return problem.Length == 0 ? record : null;
    }
}
