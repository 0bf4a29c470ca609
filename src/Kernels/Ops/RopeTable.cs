namespace Grok1Cluster.Kernels.Ops;

/// <summary>
/// Cosines and sines of rotary position embedding: the angle of pair i at position p is <c>p * theta^(-2i / headDim)</c>
/// (xAI's <c>RotaryEmbedding</c>), computed in double and kept as float32, 4 * headDim bytes a position.
/// </summary>
public sealed class RopeTable
{
    // 2^28 floats are 1 GiB: no model has more, and a hostile config gets no further.
    private const long MostElements = 1 << 28;

    private readonly float[] _cosines;
    private readonly float[] _sines;

    /// <param name="headDim">Width of a head, even.</param>
    /// <param name="theta">Base of the frequencies, above 1 (Grok-1: 10000).</param>
    /// <param name="maxPositions">Positions 0 to <paramref name="maxPositions"/> - 1 are tabulated.</param>
    /// <exception cref="ArgumentException">A size is not positive, odd, or too large to tabulate.</exception>
    public RopeTable(int headDim, double theta, int maxPositions)
    {
        if (headDim < 2 || headDim % 2 != 0)
            throw new ArgumentException($"headDim is {headDim}; RoPE rotates two halves, so it must be even and at least 2.");
        if (!(theta > 1) || !double.IsFinite(theta))
            throw new ArgumentException($"theta is {theta}; it must be a finite number above 1.");
        Shapes.AtLeast(maxPositions, 1);
        if ((long)headDim * maxPositions > MostElements)
            throw new ArgumentException($"headDim {headDim} times maxPositions {maxPositions} exceeds the table's limit of {MostElements} values.");
        HeadDim = headDim;
        MaxPositions = maxPositions;
        int half = headDim / 2;
        _cosines = new float[half * maxPositions];
        _sines = new float[half * maxPositions];
        for (int pair = 0; pair < half; pair++)
        {
            double frequency = Math.Pow(theta, -2.0 * pair / headDim);
            for (int position = 0; position < maxPositions; position++)
            {
                var (sine, cosine) = Math.SinCos(position * frequency);
                _cosines[position * half + pair] = (float)cosine;
                _sines[position * half + pair] = (float)sine;
            }
        }
    }

    /// <summary>Width of the heads this table rotates.</summary>
    public int HeadDim { get; }

    /// <summary>Number of positions tabulated.</summary>
    public int MaxPositions { get; }

    /// <summary>[HeadDim / 2], the cosines at <paramref name="position"/>.</summary>
    public ReadOnlySpan<float> Cosines(int position) => _cosines.AsSpan(Start(position), HeadDim / 2);

    /// <summary>[HeadDim / 2], the sines at <paramref name="position"/>.</summary>
    public ReadOnlySpan<float> Sines(int position) => _sines.AsSpan(Start(position), HeadDim / 2);

    private int Start(int position)
    {
        if ((uint)position >= (uint)MaxPositions)
            throw new ArgumentOutOfRangeException(nameof(position), position, $"The table holds positions 0 to {MaxPositions - 1}.");
        return position * (HeadDim / 2);
    }
}
