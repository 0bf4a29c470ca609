using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// <c>Y = X E^T</c> for a row-major float32 matrix E [N, K]: logits from the embedding table itself (the exact head).
/// A dot product runs over 16 lanes, lane l taking k = l, l + 16, ... ascending by fused multiply-adds, a tail in lanes of
/// its own; lanes are added pairwise at the end. The order depends on K alone, so a row's bits do not depend on others.
/// </summary>
public sealed unsafe class RowMajorProduct : IComputeJob
{
    private const int Lanes = 16;
    private const int RowsPerPart = 64;
    private float* _x;
    private float* _table;
    private float* _y;
    private int _rows;
    private int _columns;
    private int _length;
    private float _multiplier;

    /// <param name="pool">Where the work runs.</param>
    /// <param name="inputs">[rowCount, k] float32.</param>
    /// <param name="rowCount">Rows of the input.</param>
    /// <param name="embedding">[n, k] float32, row-major.</param>
    /// <param name="n">Rows of the table, columns of the result.</param>
    /// <param name="k">Length of a dot product.</param>
    /// <param name="scale">Multiplies every result.</param>
    /// <param name="result">[rowCount, n] float32, overwritten.</param>
    public void Run(ComputePool pool, float* inputs, int rowCount, float* embedding, int n, int k, float scale, float* result)
    {
        _x = inputs;
        _rows = rowCount;
        _table = embedding;
        _columns = n;
        _length = k;
        _multiplier = scale;
        _y = result;
        pool.Run(this, (n + RowsPerPart - 1) / RowsPerPart);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void IComputeJob.Execute(int part)
    {
        var end = Math.Min(_columns, (part + 1) * RowsPerPart);
        for (var column = part * RowsPerPart; column < end; column++)
            for (var row = 0; row < _rows; row++)
                _y[(long)row * _columns + column] = _multiplier * Dot(_x + (long)row * _length, _table + (long)column * _length, _length);
    }

    /// <summary>Dot product of two runs of <paramref name="count"/> float32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Dot(float* a, float* b, int count)
    {
        var low = Vector256<float>.Zero;
        var high = Vector256<float>.Zero;
        var k = 0;
        for (; k + Lanes <= count; k += Lanes)
        {
            low = Vector256.FusedMultiplyAdd(Vector256.Load(a + k), Vector256.Load(b + k), low);
            high = Vector256.FusedMultiplyAdd(Vector256.Load(a + k + 8), Vector256.Load(b + k + 8), high);
        }
        var tail = 0f;
        for (; k < count; k++)
            tail = MathF.FusedMultiplyAdd(a[k], b[k], tail);
        var eight = low + high;
        var four = eight.GetLower() + eight.GetUpper();
        return four[0] + four[1] + (four[2] + four[3]) + tail;
    }

    /// <summary>The scalar twin of <see cref="Dot"/>: the same bits.</summary>
    public static float DotScalar(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        Span<float> lanes = stackalloc float[Lanes];
        lanes.Clear();
        var whole = a.Length / Lanes * Lanes;
        for (var k = 0; k < whole; k++)
            lanes[k % Lanes] = MathF.FusedMultiplyAdd(a[k], b[k], lanes[k % Lanes]);
        var tail = 0f;
        for (var k = whole; k < a.Length; k++)
            tail = MathF.FusedMultiplyAdd(a[k], b[k], tail);
        Span<float> four = stackalloc float[4];
        for (var l = 0; l < 4; l++)
            four[l] = lanes[l] + lanes[l + 8] + (lanes[l + 4] + lanes[l + 12]);
        return four[0] + four[1] + (four[2] + four[3]) + tail;
    }
}
