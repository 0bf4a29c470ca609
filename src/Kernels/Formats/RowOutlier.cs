using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Formats;

/// <summary>An <see cref="Outlier"/> with its row, as it travels: 12 bytes.</summary>
/// <param name="Row">Its row.</param>
/// <param name="Position">Its index in the padded row.</param>
/// <param name="Value">Finite.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct RowOutlier(int Row, int Position, float Value);
