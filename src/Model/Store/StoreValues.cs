using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Model.Store;

/// <summary>Finds the first value of a dense tensor or an expert block that breaks a rule of <see cref="PanelRules"/>.</summary>
internal static class StoreValues
{
    /// <summary>Bytes read at a time, but for panels, which are read whole.</summary>
    private const int Piece = 1 << 20;

    /// <param name="reader">At the tensor's start; left somewhere in it, at its end if nothing is wrong.</param>
    /// <param name="tensor">The tensor.</param>
    /// <param name="cancel">Looked at once a piece or panel.</param>
    public static string? FindBroken(HashedFileReader reader, DenseTensor tensor, CancellationToken cancel)
    {
        if (!tensor.IsPacked)
            return FindInPieces(reader, tensor.WeightBytes, cancel, static bytes => PanelRules.FindBroken(MemoryMarshal.Cast<byte, float>(bytes)));

        var panel = new byte[PanelLayout.PanelBytes(tensor.Format, tensor.Axis!.PaddedLength)];
        for (var index = 0; index < PanelLayout.PanelCount(tensor.Columns); index++)
        {
            cancel.ThrowIfCancellationRequested();
            reader.Read(panel);
            if (PanelRules.FindBroken(tensor.Format, tensor.Axis.Blocks, tensor.Columns - index * PanelLayout.Columns, panel) is { } problem)
                return $"panel {index}: {problem}";
        }
        reader.SkipTo(tensor.ScalesOffset);
        return FindInPieces(reader, tensor.ScaleBytes, cancel, PanelRules.FindBrokenScale);
    }

    /// <param name="layout">The expert's layout.</param>
    /// <param name="block">Which block.</param>
    /// <param name="bytes">The whole block.</param>
    public static string? FindBroken(ExpertLayout layout, ExpertBlock block, ReadOnlySpan<byte> bytes)
    {
        for (var index = 0; index < 2 * block.Panels; index++)
        {
            var panel = bytes.Slice((int)(index * layout.InputPanelBytes), (int)layout.InputPanelBytes);
            if (PanelRules.FindBroken(layout.Format, layout.InputAxis.Blocks, block.Width - index / 2 * PanelLayout.Columns, panel) is { } problem)
                return $"{(index % 2 == 0 ? "gate" : "up")} panel {index / 2}: {problem}";
        }
        var rows = layout.HiddenAxis.Blocks[block.FirstActivationBlock..block.EndActivationBlock];
        for (var index = 0; index < PanelLayout.PanelCount(layout.Columns); index++)
        {
            var panel = bytes.Slice((int)(block.DownWeights + index * block.DownPanelBytes), (int)block.DownPanelBytes);
            if (PanelRules.FindBroken(layout.Format, rows, layout.Columns - index * PanelLayout.Columns, panel) is { } problem)
                return $"down panel {index}: {problem}";
        }
        if (!layout.Format.HasScaleTable())
            return null;
        var input = bytes.Slice((int)block.InputScales, block.Panels * 2 * layout.InputAxis.Groups * PanelLayout.Columns * sizeof(ushort));
        if (PanelRules.FindBrokenScale(input) is { } inputProblem)
            return $"gate and up scales: {inputProblem}";
        var down = bytes.Slice((int)block.DownScales, block.Groups * PanelLayout.PaddedColumns(layout.Columns) * sizeof(ushort));
        return PanelRules.FindBrokenScale(down) is { } downProblem ? $"down scales: {downProblem}" : null;
    }

    private static string? FindInPieces(HashedFileReader reader, long length, CancellationToken cancel, Func<ReadOnlySpan<byte>, string?> find)
    {
        var buffer = new byte[Math.Min(Piece, length)];
        for (var start = 0L; start < length; start += Piece)
        {
            cancel.ThrowIfCancellationRequested();
            var piece = buffer.AsSpan(0, (int)Math.Min(Piece, length - start));
            reader.Read(piece);
            if (find(piece) is { } problem)
                return $"in the piece from byte {start}: {problem}";
        }
        return null;
    }
}
