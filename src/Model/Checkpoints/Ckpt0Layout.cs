using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Model.Checkpoints;

/// <summary>
/// Which file of <c>ckpt-0</c> holds which tensor: the leaves of JAX's sorted parameter dictionary, numbered. Layers are
/// therefore in the order of their names as strings (decoder_layer_0, _1, _10, _11, ..., _2, _20, ...).
/// </summary>
internal sealed class Ckpt0Layout
{
    /// <summary>File order: embedding, final norm, ...</summary>
    private static readonly TensorRole[] Once = [TensorRole.Embedding, TensorRole.FinalNorm];

    /// <summary>... then these for each layer.</summary>
    private static readonly TensorRole[] PerLayer =
    [
        TensorRole.ExpertGate, TensorRole.ExpertDown, TensorRole.ExpertUp,
        TensorRole.Key, TensorRole.AttentionOutput, TensorRole.Query, TensorRole.Value,
        TensorRole.PreAttentionNorm, TensorRole.PostAttentionNorm, TensorRole.PreMoeNorm, TensorRole.PostMoeNorm,
        TensorRole.Router,
    ];

    /// <summary>[layer] = its place among the sorted names.</summary>
    private readonly int[] _positions;

    public Ckpt0Layout(Grok1Config config)
    {
        var sorted = Enumerable.Range(0, config.LayerCount).OrderBy(layer => $"decoder_layer_{layer}", StringComparer.Ordinal).ToArray();
        _positions = new int[sorted.Length];
        for (var position = 0; position < sorted.Length; position++)
            _positions[sorted[position]] = position;

        Tensors =
        [
            .. Once.Select(role => (role, Layer: 0)),
            .. sorted.SelectMany(layer => PerLayer.Select(role => (role, layer))),
        ];
    }

    /// <summary>All tensors in the order of their files; the layer is 0 for those that occur once.</summary>
    public IReadOnlyList<(TensorRole Role, int Layer)> Tensors { get; }

    public IEnumerable<string> FileNames => Enumerable.Range(0, Tensors.Count).Select(FileName);

    public string FileName(TensorRole role, int layer) => FileName(
        role.IsPerLayer()
            ? Once.Length + _positions[layer] * PerLayer.Length + Array.IndexOf(PerLayer, role)
            : Array.IndexOf(Once, role));

    private static string FileName(int number) => $"tensor{number:D5}_000";
}
