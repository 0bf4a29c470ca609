namespace Grok1Cluster.Model.Checkpoints;

/// <summary>How a source tensor's values are stored.</summary>
public enum SourceFormat
{
    /// <summary>Little-endian IEEE 754 single precision, no scales.</summary>
    Float32,

    /// <summary>
    /// int8 of shape [..., K, N] with bfloat16 scales of shape [..., G, N], K % G == 0:
    /// <c>w[..., k, n] * scales[..., k / (K / G), n]</c>.
    /// </summary>
    Int8Scaled,
}

/// <summary>
/// A tensor inside a mapped file: row-major values that are read where they lie. Pointers are not aligned to their element type
/// (the bytes follow a pickle's header), and a tensor may exceed 2 GiB. Cutting the file short while it is mapped kills the process,
/// as for every mapping.
/// </summary>
public sealed unsafe class SourceTensor : IDisposable
{
    private readonly MappedFile _file;
    private readonly long _valuesOffset;
    private readonly long _scalesOffset;

    internal SourceTensor(
        string name, MappedFile file, SourceFormat format, IReadOnlyList<long> shape, long valuesOffset, long scalesOffset = 0, int scaleGroups = 0)
    {
        (Name, _file, Format, Shape, ScaleGroups) = (name, file, format, shape, scaleGroups);
        (_valuesOffset, _scalesOffset) = (valuesOffset, scalesOffset);
        ValueCount = TensorShape.Count(shape);
    }

    /// <summary>For messages: role and layer.</summary>
    public string Name { get; }

    /// <summary>Full path of the file that holds it.</summary>
    public string File => _file.Path;

    public SourceFormat Format { get; }

    public IReadOnlyList<long> Shape { get; }

    /// <summary>Elements in <see cref="Values"/>.</summary>
    public long ValueCount { get; }

    /// <summary>float32 or int8 by <see cref="Format"/>, <see cref="ValueBytes"/> long, unaligned.</summary>
    public byte* Values => _file.Start + _valuesOffset;

    public long ValueBytes => Format == SourceFormat.Float32 ? ValueCount * sizeof(float) : ValueCount;

    /// <summary>bfloat16 bits, [..., ScaleGroups, N], <see cref="ScaleCount"/> long, unaligned; null for float32.</summary>
    public ushort* Scales => Format == SourceFormat.Int8Scaled ? (ushort*)(_file.Start + _scalesOffset) : null;

    /// <summary>G: how many groups of K / G rows have a scale of their own in each column; 0 for float32.</summary>
    public int ScaleGroups { get; }

    /// <summary>Elements in <see cref="Scales"/>; 0 for float32.</summary>
    public long ScaleCount => Format == SourceFormat.Int8Scaled ? ValueCount / Shape[^2] * ScaleGroups : 0;

    private long[] ScaleShape => [.. Shape.Take(Shape.Count - 2), ScaleGroups, Shape[^1]];

    /// <summary>Checks all values and scales; see the two methods this calls for what is checked.</summary>
    public void CheckValues()
    {
        CheckScales();
        CheckValues(0, ValueCount);
    }

    /// <summary>
    /// Checks values [start, start + count) in row-major order: floats are finite; int8 is never -128, which a symmetric
    /// quantiser does not write. Ranges may be checked on several threads.
    /// </summary>
    /// <exception cref="ModelException">Names file, tensor, position and value.</exception>
    public void CheckValues(long start, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, ValueCount - start);
        if (Format == SourceFormat.Float32)
        {
            var bad = ValueScan.FindNonFinite((uint*)Values + start, count);
            if (bad >= 0)
                throw Refuse("value", Shape, start + bad, ((float*)Values)[start + bad].ToString(), "must be finite");
        }
        else
        {
            var bad = ValueScan.FindMinus128((sbyte*)Values + start, count);
            if (bad >= 0)
                throw Refuse("value", Shape, start + bad, "-128", "must be -127 to 127");
        }
    }

    /// <summary>Checks that every scale is finite and greater than 0; nothing to do for float32.</summary>
    /// <exception cref="ModelException">Names file, tensor, position and value.</exception>
    public void CheckScales()
    {
        var bad = ValueScan.FindNonPositive(Scales, ScaleCount);
        if (bad >= 0)
            throw Refuse("scale", ScaleShape, bad, BitConverter.UInt32BitsToSingle((uint)Scales[bad] << 16).ToString(), "must be finite and greater than 0");
    }

    public void Dispose() => _file.Dispose();

    private ModelException Refuse(string what, IReadOnlyList<long> shape, long index, string value, string rule) =>
        new($"{File}: {Name}: {what} at {TensorShape.Describe(TensorShape.Position(shape, index))} is {value}, it {rule}; fetch the file again from where it came from");
}
