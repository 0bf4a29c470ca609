using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Model.Store;

/// <summary>How far a write is.</summary>
/// <param name="Done">Bytes written, of files finished earlier too.</param>
/// <param name="Total">Bytes of the finished store, manifest apart.</param>
public readonly record struct StoreProgress(long Done, long Total);

/// <summary>
/// Writes a model store aside, file by file, and renames it when complete. A write that was stopped at any moment goes on
/// where it was: a file counts once its bytes are on disk and its line is in the journal. Memory in use is a block a thread.
/// </summary>
public sealed class StoreWriter
{
    private readonly IStoreSource _source;
    private readonly StoreShare _share;
    private readonly DenseLayout _dense;
    private readonly ExpertLayout _experts;
    private readonly IProgress<StoreProgress>? _progress;
    private readonly long _total;
    private long _done;

    public StoreWriter(IStoreSource source, StoreShare share, DenseLayout dense, ExpertLayout experts, IProgress<StoreProgress>? progress)
    {
        (_source, _share, _dense, _experts, _progress) = (source, share, dense, experts, progress);
        _total = Bytes(share, dense, experts);
    }

    /// <summary>Bytes that a share takes on disk, manifest and tokenizer apart.</summary>
    public static long Bytes(StoreShare share, DenseLayout dense, ExpertLayout experts) =>
        (share.Dense ? dense.Bytes : 0) + share.Blocks.Values.Sum(runs => runs.Sum(run => experts.Bytes(run.First, run.End)));

    /// <summary>Writes everything that the staging area does not hold yet.</summary>
    /// <returns>The dense file, null if the share has none, and the experts in (layer, expert) order.</returns>
    public (StoreFile? Dense, IReadOnlyList<StoreExpert> Experts) Write(StoreStaging staging, int threads, CancellationToken cancel)
    {
        var dense = _share.Dense ? staging.Find("dense.bin") : null;
        if (dense is not null)
            Report(dense.File.Bytes);
        else if (_share.Dense)
            dense = WriteDense(staging, cancel);

        var pairs = _share.Blocks.Where(pair => pair.Value.Count > 0).OrderBy(pair => pair.Key).ToArray();
        var experts = new StoreExpert[pairs.Length];
        StoreWork.ForEach(pairs.Length, threads, cancel, i =>
        {
            var ((layer, expert), runs) = pairs[i];
            var name = StoreManifestRules.ExpertFile(layer, expert);
            var entry = staging.Find(name);
            if (entry is null)
                entry = WriteExpert(staging, name, layer, expert, runs, cancel);
            else
                Report(entry.File.Bytes);
            experts[i] = new StoreExpert(layer, expert, entry.File, [.. runs.Select(run => run.First)], [.. runs.Select(run => run.End)], entry.BlockSha256);
        });
        return (dense?.File, experts);
    }

    /// <summary>The dense tensors as the manifest lists them.</summary>
    public IReadOnlyList<StoreTensor> DescribeTensors() => _share.Dense ? DescribeTensors(_dense) : [];

    /// <summary>The hash of an expert block, as the manifest has it.</summary>
    internal static string BlockHash(ReadOnlySpan<byte> block) => Convert.ToHexStringLower(SHA256.HashData(block));

    internal static IReadOnlyList<StoreTensor> DescribeTensors(DenseLayout dense) =>
        [.. dense.Tensors.Select(t => new StoreTensor(t.Name, t.Rows == 1 ? [t.Columns] : [t.Rows, t.Columns],
            t.IsPacked ? $"{t.Format.ToString().ToLowerInvariant()}-panels" : "float32", t.Offset, t.ScalesOffset + t.ScaleBytes - t.Offset))];

    private StagedFile WriteDense(StoreStaging staging, CancellationToken cancel)
    {
        using var file = staging.Create("dense.bin");
        foreach (var tensor in _dense.Tensors)
        {
            cancel.ThrowIfCancellationRequested();
            if (tensor.IsPacked)
                WritePacked(file, tensor, cancel);
            else
                WritePlain(file, tensor, cancel);
            PadTo(file, tensor.End);
        }
        return file.Finish([]);
    }

    private void WritePlain(StagedFileWriter file, DenseTensor tensor, CancellationToken cancel)
    {
        var buffer = new float[(tensor.Piece(0).End - tensor.Piece(0).First) * tensor.Columns];
        for (var piece = 0; piece < tensor.PieceCount; piece++)
        {
            cancel.ThrowIfCancellationRequested();
            var (first, end) = tensor.Piece(piece);
            var span = buffer.AsSpan(0, (end - first) * tensor.Columns);
            _source.FillPlain(tensor, first, end, span);
            Write(file, MemoryMarshal.AsBytes(span));
        }
    }

    private void WritePacked(StagedFileWriter file, DenseTensor tensor, CancellationToken cancel)
    {
        int panels = PanelLayout.PanelCount(tensor.Columns), groups = tensor.Format.HasScaleTable() ? tensor.Axis!.Groups : 0;
        var weights = new byte[PanelLayout.PanelBytes(tensor.Format, tensor.Axis!.PaddedLength)];
        var panelScales = new ushort[groups * PanelLayout.Columns];
        var stride = PanelLayout.PaddedColumns(tensor.Columns);
        var scales = new ushort[groups * stride];
        for (var panel = 0; panel < panels; panel++)
        {
            cancel.ThrowIfCancellationRequested();
            _source.FillPanel(tensor, panel, weights, panelScales);
            Write(file, weights);
            for (var group = 0; group < groups; group++)
                panelScales.AsSpan(group * PanelLayout.Columns, PanelLayout.Columns).CopyTo(scales.AsSpan(group * stride + panel * PanelLayout.Columns));
        }
        PadTo(file, tensor.ScalesOffset);
        Write(file, MemoryMarshal.AsBytes(scales.AsSpan()));
    }

    private StagedFile WriteExpert(StoreStaging staging, string name, int layer, int expert, IReadOnlyList<(int First, int End)> runs, CancellationToken cancel)
    {
        using var file = staging.Create(name);
        var hashes = new List<string>();
        var buffer = new byte[_experts.Blocks.Max(block => block.Bytes)];
        foreach (var (first, end) in runs)
            for (var index = first; index < end; index++)
            {
                cancel.ThrowIfCancellationRequested();
                var block = _experts.Blocks[index];
                var bytes = buffer.AsSpan(0, (int)block.Bytes);
                bytes.Clear();
                _source.FillExpertBlock(_experts, layer, expert, block, bytes);
                hashes.Add(BlockHash(bytes));
                Write(file, bytes);
            }
        return file.Finish(hashes);
    }

    private void Write(StagedFileWriter file, ReadOnlySpan<byte> bytes)
    {
        file.Write(bytes);
        Report(bytes.Length);
    }

    private void PadTo(StagedFileWriter file, long position)
    {
        var bytes = position - file.Position;
        file.PadTo(position);
        Report(bytes);
    }

    private void Report(long bytes) => _progress?.Report(new StoreProgress(Interlocked.Add(ref _done, bytes), _total));
}
