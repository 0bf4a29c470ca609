using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Grok1Cluster.Model.Checkpoints.Pickle;

namespace Grok1Cluster.Model.Tests.Checkpoints;

/// <summary>Writes pickles opcode by opcode: sound tensor files, and everything a hostile one could say.</summary>
internal sealed class PickleBuilder
{
    private readonly MemoryStream _bytes = new();

    public PickleBuilder(byte protocol = 4) => Raw(0x80, protocol);

    public byte[] ToArray() => _bytes.ToArray();

    public PickleBuilder Raw(params ReadOnlySpan<byte> bytes)
    {
        _bytes.Write(bytes);
        return this;
    }

    public PickleBuilder Op(char opcode) => Raw((byte)opcode);

    public PickleBuilder Text(string text) => Raw(0x8c, (byte)Encoding.UTF8.GetByteCount(text)).Raw(Encoding.UTF8.GetBytes(text));

    /// <summary>STACK_GLOBAL.</summary>
    public PickleBuilder Global(string module, string name) => Text(module).Text(name).Raw(0x93);

    public PickleBuilder Int(long value)
    {
        Span<byte> eight = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(eight, value);
        return value is >= int.MinValue and <= int.MaxValue ? Op('J').Raw(eight[..4]) : Raw(0x8a, 8).Raw(eight);
    }

    /// <summary>BINBYTES8.</summary>
    public PickleBuilder Bytes(ReadOnlySpan<byte> raw, ulong? claimedLength = null)
    {
        Span<byte> eight = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(eight, claimedLength ?? (ulong)raw.Length);
        return Raw(0x8e).Raw(eight).Raw(raw);
    }

    /// <summary>A dtype as numpy writes it; <paramref name="type"/> is "bfloat16" or a type string.</summary>
    public PickleBuilder DType(string type = "f4", string order = "<", int itemSize = -1, string bfloat16Module = "ml_dtypes")
    {
        Global("numpy", "dtype");
        _ = type == "bfloat16" ? Global(bfloat16Module, type) : Text(type);
        return Raw(0x89, 0x88, 0x87).Op('R')
            .Op('(').Int(3).Text(order).Op('N').Op('N').Op('N').Int(itemSize).Int(itemSize).Int(0).Op('t').Op('b');
    }

    /// <summary>An array before its state: <c>_reconstruct(ndarray, (0,), b'b')</c>.</summary>
    public PickleBuilder EmptyArray(string module = "numpy.core.multiarray") =>
        Global(module, "_reconstruct").Global("numpy", "ndarray").Int(0).Raw(0x85).Raw((byte)'C', 1, (byte)'b').Raw(0x87).Op('R');

    public PickleBuilder Array(
        long[] shape, Action<PickleBuilder> dtype, ReadOnlySpan<byte> raw, ulong? claimedLength = null, bool fortran = false, string module = "numpy.core.multiarray")
    {
        EmptyArray(module).Op('(').Int(1).Op('(');
        foreach (var size in shape)
            Int(size);
        Op('t');
        dtype(this);
        return Raw(fortran ? (byte)0x88 : (byte)0x89).Bytes(raw, claimedLength).Op('t').Op('b');
    }

    public PickleBuilder Float32(long[] shape, params ReadOnlySpan<float> values) => Array(shape, p => p.DType(), MemoryMarshal.AsBytes(values));

    /// <param name="scales">bfloat16 bits.</param>
    public PickleBuilder Quantized(long[] shape, ReadOnlySpan<sbyte> weight, long[] scaleShape, ReadOnlySpan<ushort> scales) =>
        Global("__main__", "QuantizedWeight8bit").Op(')').Raw(0x81).Op('}').Op('(')
            .Text("weight").Array(shape, p => p.DType("i1", "|"), MemoryMarshal.AsBytes(weight))
            .Text("scales").Array(scaleShape, p => p.DType("bfloat16"), MemoryMarshal.AsBytes(scales))
            .Op('u').Op('b');

    /// <summary>Ends with STOP and runs the reader over the result.</summary>
    public PickledTensor Read() => Read(Op('.').ToArray());

    public static unsafe PickledTensor Read(ReadOnlySpan<byte> file)
    {
        fixed (byte* start = file)
        {
            return TensorPickle.Read(start, file.Length, "tensor");
        }
    }

    /// <summary>Asserts that the pickle, STOP added, is refused in one line that contains <paramref name="expected"/>.</summary>
    public void AssertRefused(string expected) => AssertRefused(Op('.').ToArray(), expected);

    public static void AssertRefused(ReadOnlySpan<byte> file, string expected)
    {
        var bytes = file.ToArray();
        var error = Assert.Throws<ModelException>(() => Read(bytes));
        Assert.StartsWith("tensor: ", error.Message);
        Assert.Contains(expected, error.Message);
        Assert.DoesNotContain('\n', error.Message);
    }
}
