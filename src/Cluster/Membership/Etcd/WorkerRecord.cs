using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using Grok1Cluster.Grpc;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>What a worker says of itself in etcd. Coordinators take id, address and leaving from it and ask the worker for the rest.</summary>
/// <param name="Id">Its id in plans, and the end of its key.</param>
/// <param name="Address">gRPC address by which coordinators reach it.</param>
/// <param name="Bytes">Of the tiles it holds.</param>
/// <param name="CapacityBytes">Most bytes of tiles that it may hold; 0: not said.</param>
/// <param name="Tiles">Number of tiles held.</param>
/// <param name="TilesDigest">Of which tiles they are: 16 hexadecimal digits that change when tiles do.</param>
/// <param name="Version">Of the program.</param>
/// <param name="Protocol">Of the protocol between coordinator and worker.</param>
/// <param name="Kernel">Workers with the same kernel id compute the same bits.</param>
/// <param name="Fingerprint">Of the model.</param>
/// <param name="Leaving">It was told to end.</param>
/// <param name="Instance">Different for each start of a worker.</param>
public sealed record WorkerRecord(
    string Id, string Address, long Bytes, long CapacityBytes, int Tiles, string TilesDigest,
    string Version, int Protocol, string Kernel, string Fingerprint, bool Leaving, string Instance)
{
    /// <summary>Of what a worker answers to <c>Describe</c>.</summary>
    public static WorkerRecord Of(DescribeResponse description, string address, string instance) => new(
        description.WorkerId, address, description.Bytes, description.MemoryBytes, description.Tiles.Count, Digest(description),
        description.Version, (int)Math.Max(1, description.Protocol), description.KernelId, description.Fingerprint, Leaving: false, instance);

    /// <summary>The record under a key, if it is a good one.</summary>
    /// <param name="id">The end of its key.</param>
    /// <param name="problem">Why there is none.</param>
    internal static WorkerRecord? Read(string id, ByteString value, out string problem)
    {
        if (RecordJson.Read<WorkerRecord>(value, out problem) is not { } record)
            return null;
        problem = MemberRules.Problem(id, record.Id, record.Address);
        return problem.Length == 0 ? record : null;
    }

    private static string Digest(DescribeResponse description)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var tile in description.Tiles)
            hash.AppendData(Encoding.ASCII.GetBytes($"{tile.Layer} {tile.Expert} {tile.Start} {tile.End}\n"));
        return Convert.ToHexStringLower(hash.GetHashAndReset().AsSpan(0, 8));
    }
}

/// <summary>What every record of a member has to keep to.</summary>
internal static class MemberRules
{
    private const int LongestAddress = 256;

    /// <returns>What is wrong; empty: nothing.</returns>
    public static string Problem(string keyId, string id, string address)
    {
        if (id != keyId || !EtcdOptions.IsName(id))
            return "its id is not that of its key";
        if (address.Length > LongestAddress || address.AsSpan().ContainsAnyExceptInRange('!', '~'))
            return "its address is none";
        try
        {
            GrpcAddress.Parse(address);
            return "";
        }
        catch (FormatException)
        {
            return "its address is none";
        }
    }
}
