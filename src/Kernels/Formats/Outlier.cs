using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Formats;

/// <summary>An activation that is kept as float32 beside its int8 block, where it counts as 0: see <see cref="ActivationQuantizer"/>.</summary>
/// <param name="Position">Its index in the padded row.</param>
/// <param name="Value">Finite.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct Outlier(int Position, float Value);
