using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Tests.MatMul;

/// <summary>
/// A packed weight matrix and rows of activations. Weights are random with runs of +127 and -127 (int4: 7 and -8), so that
/// pairs of products reach their extremes; weight scales lie between 1e-10 and 1e10, of either sign for int4. Row 1 of the activations alternates between its
/// extremes, row 2 has a block of zeros, row 3 is huge and row 4 tiny; row 5 has outliers in every third long block, up to three.
/// </summary>
internal sealed unsafe class ProductFixture : IDisposable
{
    private readonly NativeBuffer<byte> _weights;
    private readonly NativeBuffer<ushort> _scales;

    public ProductFixture(WeightFormat weights, ActivationFormat activations, int length, int groups, int? expertBlockWidth, int columns, int rows, bool extremes = true)
    {
        var int4 = weights == WeightFormat.Int4;
        groups = int4 ? WeightFormats.Int4Groups(length) : groups;
        Axis = new ReductionAxis(length, groups, expertBlockWidth, weights);
        var panels = PanelLayout.PanelCount(columns);
        var padded = PanelLayout.PaddedColumns(columns);
        var random = new Random(length * 1000 + columns);
        var panelBytes = PanelLayout.PanelBytes(weights, Axis.PaddedLength);
        _weights = new NativeBuffer<byte>(panels * panelBytes);
        _scales = new NativeBuffer<ushort>(groups * padded);
        Dense = new double[length, columns];

        var bytes = new sbyte[length * columns];
        var (least, most) = int4 ? (-8, 7) : (-127, 127);
        for (var i = 0; i < bytes.Length; i++)
            bytes[i] = (sbyte)(extremes && i / columns / 7 % 3 == 0 ? (i % 2 == 0 ? most : least) : random.Next(least, most + 1));
        for (var group = 0; group < groups; group++)
            for (var column = 0; column < columns; column++)
                _scales.Span[group * padded + column] = Bf16.Round((float)((random.NextDouble() + 0.5) * (extremes ? Math.Pow(10, random.Next(-10, 11)) : 0.01) * (int4 && random.Next(2) == 0 ? -1 : 1)));
        var floats = TestNumbers.Normal(length * columns, columns);

        var panelFloats = new float[length * PanelLayout.Columns];
        for (var panel = 0; panel < panels; panel++)
        {
            var (first, present) = (panel * PanelLayout.Columns, Math.Min(PanelLayout.Columns, columns - panel * PanelLayout.Columns));
            var target = _weights.Pointer + panel * panelBytes;
            if (weights == WeightFormat.Int8)
            {
                fixed (sbyte* source = bytes)
                    PanelPacker.PackInt8(source + first, columns, present, Axis.Blocks, target);
                continue;
            }
            if (int4)
            {
                var values = new sbyte[length * PanelLayout.Columns];
                for (var k = 0; k < length; k++)
                    bytes.AsSpan(k * columns + first, present).CopyTo(values.AsSpan(k * PanelLayout.Columns));
                ushort[] scales = [.. Enumerable.Range(0, groups).SelectMany(group => _scales.Span.Slice(group * padded + first, PanelLayout.Columns).ToArray())];
                for (var i = 0; i < scales.Length; i++)
                    scales[i] = i % PanelLayout.Columns < present ? scales[i] : Bf16.Round(1f);
                fixed (sbyte* source = values)
                fixed (ushort* s = scales)
                    PanelPacker.PackInt4(source, s, Axis.Blocks, target);
                continue;
            }
            Array.Clear(panelFloats);
            for (var k = 0; k < length; k++)
                floats.AsSpan(k * columns + first, present).CopyTo(panelFloats.AsSpan(k * PanelLayout.Columns));
            fixed (float* source = panelFloats)
                PanelPacker.PackFloat(source, Axis.Blocks, weights, target);
        }
        for (var k = 0; k < length; k++)
            for (var column = 0; column < columns; column++)
                Dense[k, column] = weights switch
                {
                    WeightFormat.Int8 or WeightFormat.Int4 => bytes[k * columns + column] * (double)Bf16.Widen(_scales.Span[k / Axis.GroupLength * padded + column]),
                    WeightFormat.BFloat16 => Bf16.Widen(Bf16.Round(floats[k * columns + column])),
                    _ => floats[k * columns + column],
                };
        Matrix = new PackedMatrix(weights, Axis, columns, (nint)_weights.Pointer, weights.HasScaleTable() ? (nint)_scales.Pointer : 0);

        X = new Activations(Axis, activations);
        X.Resize(rows);
        Inputs = [.. Enumerable.Range(0, rows).Select(row => Row(row, length, extremes))];
        for (var row = 0; row < rows; row++)
            X.Set(row, Inputs[row]);
    }

    public ReductionAxis Axis { get; }

    public PackedMatrix Matrix { get; }

    public Activations X { get; }

    /// <summary>The rows before quantisation.</summary>
    public float[][] Inputs { get; }

    /// <summary>[K, N]: the weights' values.</summary>
    public double[,] Dense { get; }

    /// <summary>Result of a kernel for some rows over the whole matrix, from a start that is not zero.</summary>
    /// <returns>[rows.Length, PaddedColumns]</returns>
    public float[] Run(PanelKernel kernel, ReadOnlySpan<int> rows)
    {
        const float Guard = -12345f;
        var stride = PanelLayout.PaddedColumns(Matrix.Columns) + 3;
        var y = new float[rows.Length * stride];
        Array.Fill(y, Guard);
        fixed (int* r = rows)
        fixed (float* result = y)
            for (var panel = 0; panel < Matrix.PanelCount; panel++)
            {
                var target = result + panel * PanelLayout.Columns;
                for (var i = 0; i < rows.Length; i++)
                    for (var column = 0; column < PanelLayout.Columns; column++)
                        target[i * stride + column] = Start(panel * PanelLayout.Columns + column);
                kernel(Matrix.Panel(panel), X, r, rows.Length, target, stride);
            }
        var dense = new List<float>();
        for (var i = 0; i < rows.Length; i++)
        {
            Assert.All(y[((i + 1) * stride - 3)..((i + 1) * stride)], value => Assert.Equal(Guard, value));
            dense.AddRange(y[(i * stride)..((i + 1) * stride - 3)]);
        }
        return [.. dense];
    }

    /// <summary>What <see cref="Run"/> finds in a result before it starts.</summary>
    public static float Start(int column) => 0.25f * (column % 5);

    /// <summary>An activation as the kernel sees it: quantised and back, where it is.</summary>
    public double Seen(int row, int k)
    {
        var b = Array.FindLastIndex(Axis.Blocks.ToArray(), block => block.Start <= k);
        var block = Axis.Blocks[b];
        var at = (long)row * Axis.PaddedLength + block.PaddedStart + k - block.Start;
        if (X.Format == ActivationFormat.Float32)
            return X.Floats[at];
        foreach (var outlier in X.OutliersOf(row, b))
            if (outlier.Position == block.PaddedStart + k - block.Start)
                return outlier.Value;
        return X.Values[at] * (double)X.Scales[(long)row * Axis.BlockCount + b];
    }

    public void Dispose()
    {
        X.Dispose();
        _weights.Dispose();
        _scales.Dispose();
        Axis.Dispose();
    }

    private float[] Row(int row, int length, bool extremes)
    {
        var x = TestNumbers.Normal(length, row + 1);
        if (!extremes)
            return x;
        switch (row)
        {
            case 1:
                for (var k = 0; k < length; k++)
                    x[k] = k / 7 % 2 == 0 ? 2f : -2f;
                break;
            case 2:
                var block = Axis.Blocks[Axis.BlockCount / 2];
                x.AsSpan(block.Start, block.Length).Clear();
                break;
            case 3:
                x = [.. x.Select(value => value * 1e12f)];
                break;
            case 4:
                x = [.. x.Select(value => value * 1e-25f)];
                break;
            case 5:
                for (var b = 0; b < Axis.BlockCount; b += 3)
                    for (var i = 0; i <= b % 4; i++)
                        x[Axis.Blocks[b].Start + (i * 37 + b) % Axis.Blocks[b].Length] = (i % 2 == 0 ? 90 : -90) * MathF.Pow(6, i);
                break;
        }
        return x;
    }
}
