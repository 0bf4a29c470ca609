namespace Grok1Cluster.Model.Checkpoints.Pickle;

/// <summary>The element types that occur in tensor files, little-endian.</summary>
public enum PickledType
{
    Int8,
    BFloat16,
    Float32,
}

/// <summary>An array in a mapped pickle.</summary>
/// <param name="Shape">Row-major; sizes of at least 1.</param>
/// <param name="Offset">Bytes from the start of the file.</param>
/// <param name="Bytes">Product of the shape times the element size; inside the file.</param>
public sealed record PickledArray(PickledType Type, IReadOnlyList<long> Shape, long Offset, long Bytes);

/// <summary>What a tensor file holds: one array, or xAI's <c>QuantizedWeight8bit</c> of weights and scales.</summary>
public sealed record PickledTensor(PickledArray Values, PickledArray? Scales);

/// <summary>
/// Reads the header of a tensor file of <c>ckpt-0</c>. A pickle is a program for a stack machine; this interprets only what numpy
/// and JAX write for an array or a <c>QuantizedWeight8bit</c> (protocols 2 to 5, arrays through <c>_reconstruct</c>) and refuses
/// anything else by the name of its opcode or global. Nothing is imported, called or copied, and memory is bounded whatever the
/// file says.
/// </summary>
public static unsafe class TensorPickle
{
    /// <param name="start">The mapped file.</param>
    /// <param name="length">Bytes in it; the pickle must fill them exactly.</param>
    /// <param name="file">Path for messages.</param>
    /// <exception cref="ModelException">The file is not such a pickle; the message names what it is instead.</exception>
    public static PickledTensor Read(byte* start, long length, string file) => new PickleMachine(new PickleInput(start, length, file)).Run();
}
