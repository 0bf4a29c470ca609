using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Weights.Cache;

/// <summary>A block whose bytes have their hash.</summary>
/// <param name="Id">Which.</param>
/// <param name="Sha256">Lower-case hexadecimal.</param>
/// <param name="Bytes">All of it.</param>
public readonly record struct VerifiedBlock(BlockId Id, string Sha256, ReadOnlyMemory<byte> Bytes);
