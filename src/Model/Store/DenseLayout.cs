using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Model.Store;

/// <summary>Where everything of <c>dense.bin</c> lies; it follows from the config and the formats.</summary>
public sealed class DenseLayout : IDisposable
{
    private readonly List<DenseTensor> _tensors = [];
    private readonly Dictionary<(TensorRole, int, bool), DenseTensor> _byRole = [];

    public DenseLayout(Grok1Config config, WeightFormat format, StoreGroups groups)
    {
        Format = format;
        AttentionInputAxis = new ReductionAxis(config.EmbeddingDim, groups.AttentionInput);
        AttentionOutputAxis = new ReductionAxis(config.QueryDim, groups.AttentionOutput);
        HeadAxis = new ReductionAxis(config.EmbeddingDim, groups.Head);

        AddPlain(TensorRole.Embedding, 0, config.VocabularySize, config.EmbeddingDim);
        AddPacked(TensorRole.Embedding, 0, HeadAxis, config.VocabularySize);
        AddPlain(TensorRole.FinalNorm, 0, 1, config.EmbeddingDim);
        for (var layer = 0; layer < config.LayerCount; layer++)
        {
            AddPlain(TensorRole.PreAttentionNorm, layer, 1, config.EmbeddingDim);
            AddPacked(TensorRole.Query, layer, AttentionInputAxis, config.QueryDim);
            AddPacked(TensorRole.Key, layer, AttentionInputAxis, config.KeyValueDim);
            AddPacked(TensorRole.Value, layer, AttentionInputAxis, config.KeyValueDim);
            AddPacked(TensorRole.AttentionOutput, layer, AttentionOutputAxis, config.EmbeddingDim);
            AddPlain(TensorRole.PostAttentionNorm, layer, 1, config.EmbeddingDim);
            AddPlain(TensorRole.PreMoeNorm, layer, 1, config.EmbeddingDim);
            AddPlain(TensorRole.Router, layer, config.EmbeddingDim, config.ExpertCount);
            AddPlain(TensorRole.PostMoeNorm, layer, 1, config.EmbeddingDim);
        }
    }

    /// <summary>Format of the packed matrices.</summary>
    public WeightFormat Format { get; }

    /// <summary>What query, key and value sum over.</summary>
    public ReductionAxis AttentionInputAxis { get; }

    /// <summary>What the attention output matrix sums over.</summary>
    public ReductionAxis AttentionOutputAxis { get; }

    /// <summary>What the packed head sums over.</summary>
    public ReductionAxis HeadAxis { get; }

    /// <summary>In file order.</summary>
    public IReadOnlyList<DenseTensor> Tensors => _tensors;

    /// <summary>Bytes of the file.</summary>
    public long Bytes { get; private set; }

    /// <summary>Weight groups of the packed head: one per activation block where that divides evenly, else one.</summary>
    public static int ChooseHeadGroups(int embeddingDim) => embeddingDim % ReductionAxis.MaxBlock == 0 ? embeddingDim / ReductionAxis.MaxBlock : 1;

    public DenseTensor Plain(TensorRole role, int layer = 0) => _byRole[(role, layer, false)];

    public DenseTensor Packed(TensorRole role, int layer = 0) => _byRole[(role, layer, true)];

    public void Dispose()
    {
        AttentionInputAxis.Dispose();
        AttentionOutputAxis.Dispose();
        HeadAxis.Dispose();
    }

    private void AddPlain(TensorRole role, int layer, int rows, int columns) =>
        Add(new DenseTensor(role, layer, rows, columns, WeightFormat.Float32, null, Bytes));

    private void AddPacked(TensorRole role, int layer, ReductionAxis axis, int columns) =>
        Add(new DenseTensor(role, layer, axis.Length, columns, Format, axis, Bytes));

    private void Add(DenseTensor tensor)
    {
        _tensors.Add(tensor);
        _byRole.Add((tensor.Role, tensor.Layer, tensor.IsPacked), tensor);
        Bytes = tensor.End;
    }
}

/// <summary>Weight groups of the packed matrices, along the axis each sums over.</summary>
/// <param name="AttentionInput">Query, key and value.</param>
/// <param name="AttentionOutput">The attention output matrix.</param>
/// <param name="Head">The packed head.</param>
/// <param name="Gate">An expert's gate and up.</param>
/// <param name="Down">An expert's down.</param>
public sealed record StoreGroups(int AttentionInput, int AttentionOutput, int Head, int Gate, int Down);
