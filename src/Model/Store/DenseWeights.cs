using System.Security.Cryptography;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Model.Store;

/// <summary>
/// The coordinator's tensors. The float32 embedding table, of which a step reads a few rows, stays mapped from the store;
/// everything behind it is read by every step.
/// </summary>
public sealed unsafe class DenseWeights : IDisposable
{
    private const int HashedAtOnce = 16 << 20;

    private readonly string _path;
    private readonly string _sha256;
    private readonly WeightRange _table;
    private readonly WeightRange _everyStep;
    private readonly DenseLayout _layout;

    internal DenseWeights(ModelStore store, StoreFile file)
    {
        _layout = store.DenseLayout;
        (_path, _sha256) = (store.FilePath(file), file.Sha256);
        var first = _layout.Packed(TensorRole.Embedding).Offset;
        _table = new WeightRange(_path, _layout.Bytes, 0, first);
        _everyStep = new WeightRange(_path, _layout.Bytes, first, _layout.Bytes - first);
    }

    public DenseLayout Layout => _layout;

    /// <summary>Row r of the embedding table, [EmbeddingDim] float32.</summary>
    public ReadOnlySpan<float> EmbeddingRow(int row)
    {
        var tensor = _layout.Plain(TensorRole.Embedding);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)tensor.Rows);
        return new ReadOnlySpan<float>(Start(tensor.Offset) + (long)row * tensor.Columns * sizeof(float), tensor.Columns);
    }

    /// <summary>The embedding table, row-major [VocabularySize, EmbeddingDim] float32.</summary>
    public float* Embedding => (float*)Start(_layout.Plain(TensorRole.Embedding).Offset);

    /// <summary>A plain tensor of at most 2^31 elements: norms [EmbeddingDim], router [EmbeddingDim, ExpertCount], float32.</summary>
    public ReadOnlySpan<float> Plain(TensorRole role, int layer = 0)
    {
        var tensor = _layout.Plain(role, layer);
        return new ReadOnlySpan<float>(Start(tensor.Offset), checked(tensor.Rows * tensor.Columns));
    }

    /// <summary>A packed matrix; Embedding is the head.</summary>
    public PackedMatrix Packed(TensorRole role, int layer = 0)
    {
        var tensor = _layout.Packed(role, layer);
        return new PackedMatrix(tensor.Format, tensor.Axis!, tensor.Columns, (nint)Start(tensor.Offset),
            tensor.ScaleBytes == 0 ? 0 : (nint)Start(tensor.ScalesOffset));
    }

    /// <summary>Bytes behind the embedding table.</summary>
    public long EveryStepBytes => _everyStep.Length;

    /// <summary>Brings everything but the embedding table into memory, and checks all of it where it will be read; not while it is in use.</summary>
    /// <exception cref="ModelException">The file changed, cannot be read, or is another than the manifest says.</exception>
    /// <exception cref="ResourceException">The system does not allow so much locked memory.</exception>
    /// <exception cref="OperationCanceledException">Cancelled on the way.</exception>
    public void Load(WeightMemory memory, CancellationToken cancel)
    {
        _everyStep.Load(memory, cancel);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append(hash, _table, cancel);
        Append(hash, _everyStep, cancel);
        if (Convert.ToHexStringLower(hash.GetHashAndReset()) != _sha256)
            throw new ModelException($"{_path}: has another SHA-256 than in the manifest; import the model again, or copy this file anew");
    }

    public void Dispose()
    {
        _table.Dispose();
        _everyStep.Dispose();
    }

    private static void Append(IncrementalHash hash, WeightRange range, CancellationToken cancel)
    {
        for (long done = 0; done < range.Length; done += HashedAtOnce)
        {
            cancel.ThrowIfCancellationRequested();
            hash.AppendData(new ReadOnlySpan<byte>(range.Start + done, (int)Math.Min(HashedAtOnce, range.Length - done)));
        }
    }

    private byte* Start(long offset) => offset < _table.Length ? _table.Start + offset : _everyStep.Start + (offset - _table.Length);
}
