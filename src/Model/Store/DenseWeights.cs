using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Model.Store;

/// <summary>The coordinator's tensors, mapped from the store.</summary>
public sealed unsafe class DenseWeights : IDisposable
{
    /// <summary>A part of the file, for telling how far it is.</summary>
    private const long TouchBytes = 256 << 20;

    private readonly MappedFile _file;
    private readonly DenseLayout _layout;

    internal DenseWeights(ModelStore store, StoreFile file)
    {
        _layout = store.DenseLayout;
        _file = MappedFile.Open(store.FilePath(file));
        if (_file.Length != _layout.Bytes)
        {
            _file.Dispose();
            throw new ModelException($"{store.FilePath(file)}: changed its length while it was opened");
        }
    }

    public DenseLayout Layout => _layout;

    /// <summary>Row r of the embedding table, [EmbeddingDim] float32.</summary>
    public ReadOnlySpan<float> EmbeddingRow(int row)
    {
        var tensor = _layout.Plain(TensorRole.Embedding);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)tensor.Rows);
        return new ReadOnlySpan<float>(_file.Start + tensor.Offset + (long)row * tensor.Columns * sizeof(float), tensor.Columns);
    }

    /// <summary>The embedding table, row-major [VocabularySize, EmbeddingDim] float32.</summary>
    public float* Embedding => (float*)(_file.Start + _layout.Plain(TensorRole.Embedding).Offset);

    /// <summary>A plain tensor of at most 2^31 elements: norms [EmbeddingDim], router [EmbeddingDim, ExpertCount], float32.</summary>
    public ReadOnlySpan<float> Plain(TensorRole role, int layer = 0)
    {
        var tensor = _layout.Plain(role, layer);
        return new ReadOnlySpan<float>(_file.Start + tensor.Offset, checked(tensor.Rows * tensor.Columns));
    }

    /// <summary>A packed matrix; Embedding is the head.</summary>
    public PackedMatrix Packed(TensorRole role, int layer = 0)
    {
        var tensor = _layout.Packed(role, layer);
        return new PackedMatrix(tensor.Format, tensor.Axis!, tensor.Columns, (nint)(_file.Start + tensor.Offset),
            tensor.ScaleBytes == 0 ? 0 : (nint)(_file.Start + tensor.ScalesOffset));
    }

    /// <summary>Reads a byte of every page but the embedding table's, of which a step reads a few rows.</summary>
    /// <param name="loaded">Told of bytes that are in memory now, several times.</param>
    public void Touch(Action<long>? loaded = null)
    {
        for (var first = FirstTouched; first < _file.Length; first += TouchBytes)
        {
            var length = Math.Min(TouchBytes, _file.Length - first);
            _file.Touch(first, length);
            loaded?.Invoke(length);
        }
    }

    /// <summary>Bytes that <see cref="Touch"/> reads.</summary>
    public long TouchedBytes => _file.Length - FirstTouched;

    public void Dispose() => _file.Dispose();

    private long FirstTouched => _layout.Packed(TensorRole.Embedding).Offset;
}
