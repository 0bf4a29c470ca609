namespace Grok1Cluster.Model.Checkpoints.Pickle;

// What can lie on the stack of a PickleMachine besides null, bool, long and string.

/// <summary>The only globals a tensor file may name. They are labels here: nothing is imported or called.</summary>
internal enum PickleGlobal
{
    /// <summary>numpy.core.multiarray._reconstruct: an empty array, to be filled by BUILD.</summary>
    Reconstruct,

    /// <summary>numpy.ndarray</summary>
    NDArray,

    /// <summary>numpy.dtype</summary>
    DType,

    /// <summary>The scalar type of ml_dtypes (formerly in jaxlib).</summary>
    BFloat16,

    /// <summary>xAI's pair of weight and scales.</summary>
    QuantizedWeight8bit,
}

/// <summary>A byte string, left where it is in the file.</summary>
internal sealed record PickledBytes(long Offset, long Length);

internal sealed record PickledTuple(object?[] Items);

internal sealed record PickledDict(Dictionary<string, object?> Items);

/// <summary>A numpy dtype; BUILD brings its byte order.</summary>
internal sealed class PickledDType(PickledType type)
{
    public PickledType Type => type;

    public bool IsBuilt { get; set; }
}

/// <summary>A numpy array; null until BUILD.</summary>
internal sealed class ArrayInProgress
{
    public PickledArray? Array { get; set; }
}

/// <summary>A QuantizedWeight8bit; null until BUILD.</summary>
internal sealed class QuantizedInProgress
{
    public PickledTensor? Tensor { get; set; }
}
