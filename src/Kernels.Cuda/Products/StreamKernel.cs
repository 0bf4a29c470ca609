using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Kernels.Cuda.Products;

/// <summary>A kernel built on expert_stream.cuh, and the shared memory of its block.</summary>
internal sealed record StreamKernel(IKernel Kernel, int Shared)
{
    /// <summary>Tokens that one launch takes at most.</summary>
    public const int MostTokens = 32;

    /// <summary>Warps of a block; each takes half a panel.</summary>
    public const int Warps = 2;

    public const int Threads = Warps * Warp;

    private const int Warp = 32;

    /// <summary>Tokens of the kernels, ascending.</summary>
    public static readonly int[] Tokens = [8, 16, MostTokens];

    public static int IndexFor(int tokens) => Array.FindIndex(Tokens, most => tokens <= most);

    /// <summary>StreamProduct::WARP_BYTES of every warp, with the stages that the kernel files name.</summary>
    public static int SharedBytes(WeightFormat format, int tokens, int streams)
    {
        var int4 = format == WeightFormat.Int4;
        var stages = (int4, streams, tokens) switch
        {
            (false, 2, 32) => 6,
            (false, 2, _) => 8,
            (false, _, 8) => 12,
            (false, _, 16) => 10,
            (false, _, _) => 8,
            (true, 2, 8) => 16,
            (true, 2, 16) => 10,
            (true, 2, _) => 8,
            (true, _, 8) => 24,
            (true, _, 16) => 16,
            (true, _, _) => 10,
        };
        var weights = (int4 ? 256 : 512) * streams;
        return Warps * stages * (weights + Warp * 2 * tokens + Warp * 4 * streams);
    }
}
