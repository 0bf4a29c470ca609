namespace Grok1Cluster.Grpc.Wire;

/// <summary>What stands before every message.</summary>
internal static class LengthPrefix
{
    /// <summary>Compressed flag (one byte) and length (four bytes, big-endian).</summary>
    public const int Bytes = 5;
}
