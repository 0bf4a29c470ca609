using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Numerics;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Bench;

/// <summary>int8 and int4 weights times int8 activation blocks: few rows over a gibibyte of int8 weights, many rows over one expert's.</summary>
internal static unsafe class ProductBench
{
    private const int Length = 6144;
    private const int WideColumns = 174_720;
    private const int ExpertColumns = 4096;

    public static void Run(ComputePool pool)
    {
        foreach (var format in (WeightFormat[])[WeightFormat.Int8, WeightFormat.Int4])
        {
            Measure(pool, format, WideColumns, [1, 2, 3, 4, 5, 6, 7, 8]);
            Measure(pool, format, ExpertColumns, [8, 16, 64, 512]);
        }
    }

    private static void Measure(ComputePool pool, WeightFormat format, int columns, int[] rowCounts)
    {
        using var axis = new ReductionAxis(Length, format == WeightFormat.Int4 ? WeightFormats.Int4Groups(Length) : 1, null, format);
        using var weights = new NativeBuffer<byte>(PanelLayout.PanelCount(columns) * PanelLayout.PanelBytes(format, axis.PaddedLength));
        using var scales = new NativeBuffer<ushort>(format.HasScaleTable() ? PanelLayout.PaddedColumns(columns) : 0);
        scales.Span.Fill(Bf16.Round(1e-3f));
        FillRandom(pool, weights);
        var matrix = new PackedMatrix(format, axis, columns, (nint)weights.Pointer, (nint)scales.Pointer);
        using var activations = new Activations(axis, ActivationFormat.Int8Blocks);
        using var product = new MatrixProduct();
        foreach (var rows in rowCounts)
        {
            using var y = new NativeBuffer<float>((long)rows * PanelLayout.PaddedColumns(columns));
            activations.Resize(rows);
            var random = new Random(1);
            for (var row = 0; row < rows; row++)
                activations.Set(row, [.. Enumerable.Range(0, Length).Select(_ => random.NextSingle() - 0.5f)]);
            var bytes = matrix.WeightBytes + scales.Length * sizeof(ushort);
            Roofs.Compare(pool, $"{format} {rows} x {Length} x {columns}", bytes, 2L * rows * Length * columns, () =>
            {
                product.Add(matrix, y.Pointer);
                product.Run(pool, activations);
            });
        }
    }

    private static void FillRandom(ComputePool pool, NativeBuffer<byte> buffer)
    {
        const int Part = 1 << 20;
        pool.Run(new DelegateJob(part =>
        {
            var length = (int)Math.Min(Part, buffer.Length - (long)part * Part);
            var words = MemoryMarshal.Cast<byte, ulong>(buffer.Slice((long)part * Part, length));
            var state = (ulong)part + 1;
            foreach (ref var word in words)
            {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word = state | 0x0101_0101_0101_0101;
            }
        }), (int)((buffer.Length + Part - 1) / Part));
    }
}
