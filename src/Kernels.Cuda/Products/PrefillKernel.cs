using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Kernels.Cuda.Products;

/// <summary>What a launch of a kernel built on prefill_product.cuh must know.</summary>
internal static class PrefillKernel
{
    public const int Threads = 256;

    /// <summary>Tokens of a block.</summary>
    public const int Tokens = 64;

    /// <summary>Panels of a block.</summary>
    public const int Panels = 4;

    private const int Stages = 3, StageTiles = 2, TileRows = 32, ScaleRowBytes = 64;

    /// <summary>Stage::BYTES of every stage.</summary>
    public static int SharedBytes(WeightFormat format) => Stages
        * (Panels * StageTiles * (format == WeightFormat.Int4 ? 512 : 1024) + StageTiles * Tokens * TileRows + Panels * ScaleRowBytes + Tokens * sizeof(float));
}
