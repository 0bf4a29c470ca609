namespace Grok1Cluster.Model.Checkpoints.Pickle;

/// <summary>
/// What the globals of a tensor file mean, as data. The states are those of numpy's <c>ndarray.__reduce__</c> and
/// <c>dtype.__reduce__</c>, and of xAI's <c>QuantizedWeight8bit</c> (<c>model.py</c>).
/// </summary>
internal sealed class NumpyObjects(PickleInput input)
{
    private const int MaxRank = 8;

    /// <summary>numpy's flag bits of a dtype are of no consequence here; all other parts of its state are fixed.</summary>
    private const int DTypeStateLength = 8;

    /// <summary>GLOBAL, STACK_GLOBAL.</summary>
    public object Find(string module, string name) => (module, name) switch
    {
        ("numpy.core.multiarray" or "numpy._core.multiarray", "_reconstruct") => PickleGlobal.Reconstruct,
        ("numpy", "ndarray") => PickleGlobal.NDArray,
        ("numpy", "dtype") => PickleGlobal.DType,
        ("__main__", "QuantizedWeight8bit") => PickleGlobal.QuantizedWeight8bit,
        (_, "bfloat16") when IsHomeOfBFloat16(module) => PickleGlobal.BFloat16,
        _ => throw input.Refuse($"the global {Printable.OneLine($"{module}.{name}")}"),
    };

    /// <summary>REDUCE: a call, of which only <c>_reconstruct(ndarray, (0,), b'b')</c> and <c>dtype(type, False, True)</c> exist.</summary>
    public object Reduce(object? callable, object? arguments) => (callable, (arguments as PickledTuple)?.Items) switch
    {
        (PickleGlobal.Reconstruct, [PickleGlobal.NDArray, PickledTuple { Items: [0L] }, PickledBytes { Length: 1 }]) => new ArrayInProgress(),
        (PickleGlobal.DType, [PickleGlobal.BFloat16, false, true]) => new PickledDType(PickledType.BFloat16),
        (PickleGlobal.DType, [string name, false, true]) => new PickledDType(FindType(name)),
        (PickleGlobal global, _) => throw input.Refuse($"a REDUCE of {global} with arguments numpy does not write"),
        _ => throw input.Refuse("a REDUCE of something other than a global"),
    };

    /// <summary>NEWOBJ: an instance, of which only <c>QuantizedWeight8bit()</c> exists.</summary>
    public object New(object? type, object? arguments) => (type, arguments) switch
    {
        (PickleGlobal.QuantizedWeight8bit, PickledTuple { Items: [] }) => new QuantizedInProgress(),
        _ => throw input.Refuse($"a NEWOBJ of {type as PickleGlobal? ?? (object)"something other than a global"}"),
    };

    /// <summary>BUILD: gives <paramref name="target"/>, once, its state.</summary>
    public object Build(object? target, object? state)
    {
        switch (target, state)
        {
            case (PickledDType { IsBuilt: false } type, PickledTuple { Items: { Length: DTypeStateLength } items }):
                CheckByteOrder(type.Type, items);
                type.IsBuilt = true;
                return type;
            case (ArrayInProgress { Array: null } array, PickledTuple { Items: var items }):
                array.Array = BuildArray(items);
                return array;
            case (QuantizedInProgress { Tensor: null } tensor, PickledDict { Items: var items }):
                tensor.Tensor = BuildTensor(items);
                return tensor;
            default:
                throw input.Refuse("a BUILD with a state that numpy or QuantizedWeight8bit does not have");
        }
    }

    /// <summary>The tensor that the finished program left.</summary>
    public PickledTensor Finish(object? value) => value switch
    {
        ArrayInProgress { Array: { } array } => new PickledTensor(array, Scales: null),
        QuantizedInProgress { Tensor: { } tensor } => tensor,
        _ => throw input.Refuse("a result other than an array or QuantizedWeight8bit"),
    };

    private static bool IsHomeOfBFloat16(string module) =>
        module is "ml_dtypes" or "jaxlib" || module.StartsWith("ml_dtypes.", StringComparison.Ordinal) || module.StartsWith("jaxlib.", StringComparison.Ordinal)
        || module.StartsWith("jax.", StringComparison.Ordinal);

    private PickledType FindType(string name) => name switch
    {
        "i1" or "|i1" => PickledType.Int8,
        "f4" or "<f4" => PickledType.Float32,
        ['>', ..] => throw input.Refuse($"the big-endian dtype '{Printable.OneLine(name)}'"),
        _ => throw input.Refuse($"the dtype '{Printable.OneLine(name)}' (int8, float32 and bfloat16 are known)"),
    };

    /// <summary>State (3, byte order, subarray, names, fields, item size, alignment, flags).</summary>
    private void CheckByteOrder(PickledType type, object?[] state)
    {
        if (state is not [3L, string order, null, null, null, long size, long, long] || (size != -1 && size != ItemBytes(type)))
            throw input.Refuse($"a dtype state that is not that of {type}");
        if (order == ">")
            throw input.Refuse($"big-endian {type}");
        if (order != "<" && !(order == "|" && ItemBytes(type) == 1))
            throw input.Refuse($"the byte order '{Printable.OneLine(order)}' of {type}");
    }

    /// <summary>State (1, shape, dtype, Fortran order, raw bytes).</summary>
    private PickledArray BuildArray(object?[] state)
    {
        if (state is not [1L, PickledTuple { Items: { Length: <= MaxRank } sizes }, PickledDType { IsBuilt: true } type, bool fortran, PickledBytes raw])
            throw input.Refuse("an array state other than (1, shape, dtype, False, bytes)");
        if (fortran)
            throw input.Refuse("an array in Fortran order");
        if (!sizes.All(size => size is long))
            throw input.Refuse("a shape with something other than integers");

        var shape = Array.ConvertAll(sizes, size => (long)size!);
        if (!TensorShape.TryBytes(shape, ItemBytes(type.Type), long.MaxValue, out var bytes))
            throw input.Refuse($"the shape {TensorShape.Describe(shape)} (a size below 1, or too large a product)");
        if (bytes != raw.Length)
            throw input.Refuse($"an array of {raw.Length} bytes where shape {TensorShape.Describe(shape)} of {type.Type} takes {bytes}");
        return new PickledArray(type.Type, shape, raw.Offset, raw.Length);
    }

    private PickledTensor BuildTensor(Dictionary<string, object?> state)
    {
        if (state.Count != 2
            || state.GetValueOrDefault("weight") is not ArrayInProgress { Array: { } weight }
            || state.GetValueOrDefault("scales") is not ArrayInProgress { Array: { } scales })
            throw input.Refuse("a QuantizedWeight8bit without exactly the arrays weight and scales");
        return new PickledTensor(weight, scales);
    }

    private static int ItemBytes(PickledType type) => type switch
    {
        PickledType.Int8 => 1,
        PickledType.BFloat16 => 2,
        _ => 4,
    };
}
