using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.ExpertWorker.Control;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.ExpertWorker;

/// <summary>Why a call cannot be computed.</summary>
public sealed record CallRefusal(CallFailure.Types.Reason Reason, string Message);

/// <summary>
/// A call on its way through the worker. Nothing of it is used before <see cref="Check"/> found every field sound: what it
/// says fits the model, and its tiles are held. Used again for later calls.
/// </summary>
public sealed class ExpertRequest : IWireFrame
{
    private readonly List<List<ExpertTile>> _bundles = [];

    /// <summary>What the coordinator sent.</summary>
    public CallFrame Frame { get; } = new();

    /// <summary>Bundles to compute, known after <see cref="Check"/>.</summary>
    public int BundleCount { get; private set; }

    /// <summary>Whether activations are float32.</summary>
    public bool IsExact => Frame.ActivationFormat == TensorFormat.Float32;

    /// <summary>Bytes of an element of the result.</summary>
    public int ResultElementBytes => Frame.ResultFormat == TensorFormat.Float32 ? sizeof(float) : sizeof(ushort);

    /// <summary>When it came, by the monotonic clock.</summary>
    internal long Arrived { get; set; }

    /// <summary>Where it came from.</summary>
    internal CallStream Stream { get; set; } = null!;

    /// <summary>With which calls it came.</summary>
    internal CallEpochs.Epoch Epoch { get; set; } = null!;

    int IWireFrame.Measure() => Frame.Measure();

    void IWireFrame.WriteTo(IBufferWriter<byte> buffers) => Frame.WriteTo(buffers);

    void IWireFrame.ReadFrom(ReadOnlySpan<byte> message) => Frame.ReadFrom(message);

    /// <summary>A bundle's tiles, in the order of its sum.</summary>
    public IReadOnlyList<ExpertTile> Tiles(int bundle) => _bundles[bundle];

    /// <summary>Checks the call against the model before anything is sized by it.</summary>
    /// <returns>What is wrong, or null.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public CallRefusal? Check(TileStore tiles)
    {
        if (FindFault(Frame, tiles.Model) is { } fault)
            return fault;
        BundleCount = Frame.BundleCount;
        while (_bundles.Count < BundleCount)
            _bundles.Add([]);
        for (var bundle = 0; bundle < BundleCount; bundle++)
        {
            _bundles[bundle].Clear();
            foreach (var tile in Frame.BundleTiles(bundle))
            {
                var slice = new ExpertSlice((int)Frame.Layer, (int)tile.Expert, (int)tile.Start, (int)tile.End);
                if (tiles.Find(slice) is not { } found)
                    return new CallRefusal(CallFailure.Types.Reason.NotHeld, $"layer {Frame.Layer} expert {tile.Expert} columns [{tile.Start}, {tile.End}) is not held here");
                _bundles[bundle].Add(found);
            }
        }
        return null;
    }

    /// <summary>Copies the activations into kernel buffers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public unsafe void CopyTo(Activations target)
    {
        var rows = (int)Frame.Tokens;
        target.Resize(rows);
        if (target.Format == ActivationFormat.Float32)
        {
            Frame.Activations.CopyTo(new Span<byte>(target.Floats, Frame.Activations.Length));
            return;
        }
        Frame.Activations.CopyTo(new Span<byte>(target.Values, Frame.Activations.Length));
        Frame.Scales.CopyTo(new Span<byte>(target.Scales, Frame.Scales.Length));
        for (var row = 0; row < rows; row++)
            target.Complete(row);
        target.AddOutliers(MemoryMarshal.Cast<byte, RowOutlier>(Frame.Outliers));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static CallRefusal? FindFault(CallFrame call, ModelStore model)
    {
        var config = model.Config;
        var axis = model.ExpertLayout.InputAxis;
        var quantised = call.ActivationFormat == TensorFormat.Int8Blocks;
        if (call.Weights != ExpertMethods.ShortFingerprint(model.Manifest.Fingerprint))
            return new CallRefusal(CallFailure.Types.Reason.OtherWeights, $"this worker holds weights {model.Manifest.Fingerprint[..16]}, the call is for {call.Weights:x16}");
        if (call.Layer >= config.LayerCount)
            return Invalid($"layer {call.Layer} of {config.LayerCount}");
        if (call.ActivationFormat is not (TensorFormat.Float32 or TensorFormat.Int8Blocks))
            return Invalid($"activations in {call.ActivationFormat}");
        if (quantised && !model.ExpertLayout.Format.IsQuantised())
            return Invalid($"int8 activations for {model.ExpertLayout.Format} weights");
        if (call.ResultFormat is not (TensorFormat.Float32 or TensorFormat.Bfloat16))
            return Invalid($"results in {call.ResultFormat}");
        if (call.BundleCount == 0)
            return Invalid("a call needs at least one bundle");
        for (var bundle = 0; bundle < call.BundleCount; bundle++)
            if (call.BundleTiles(bundle).IsEmpty)
                return Invalid($"bundle {bundle} has no tile");
        if (call.Tokens == 0)
            return Invalid("a call needs at least one token");
        long tokens = call.Tokens;
        if (call.BundleCount * tokens * config.EmbeddingDim * (call.ResultFormat == TensorFormat.Float32 ? 4L : 2L) > ExpertMethods.MaxMessageBytes - ResultFrame.MostBesideValues)
            return Invalid($"the results of {call.BundleCount} bundles for {tokens} tokens exceed {ExpertMethods.MaxMessageBytes} bytes");
        var misfit = Misfit("activations", call.Activations, tokens * axis.PaddedLength * (quantised ? 1 : 4), tokens)
            ?? Misfit("scales", call.Scales, quantised ? tokens * axis.BlockCount * 4 : 0, tokens)
            ?? Misfit("experts", call.Experts, tokens * config.ExpertsPerToken, tokens)
            ?? Misfit("gates", call.Gates, tokens * config.ExpertsPerToken * 4, tokens);
        if (misfit is not null)
            return misfit;
        if (Crc32C.Compute(call.Payload) != call.Checksum)
            return new CallRefusal(CallFailure.Types.Reason.Corrupt, "the payload does not have its checksum");
        if (OutlierCheck.FindFault(call, axis, model.ExpertLayout.Format) is { } wrong)
            return Invalid(wrong);
        return AreSound(call, config.ExpertCount) ? null : Invalid("a value is not finite, an int8 is -128, a scale is negative, or an expert is out of range");
    }

    private static CallRefusal Invalid(string what) => new(CallFailure.Types.Reason.Invalid, what);

    private static CallRefusal? Misfit(string name, ReadOnlySpan<byte> part, long expected, long tokens) =>
        part.Length == expected ? null : Invalid($"{name} has {part.Length} bytes, {expected} are expected for {tokens} tokens");

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool AreSound(CallFrame call, int experts)
    {
        foreach (var expert in call.Experts)
            if (expert >= experts)
                return false;
        if (!AreFinite(call.Gates) || !AreFinite(call.Scales))
            return false;
        foreach (var scale in MemoryMarshal.Cast<byte, float>(call.Scales))
            if (scale < 0)
                return false;
        return call.ActivationFormat == TensorFormat.Float32 ? AreFinite(call.Activations) : !call.Activations.Contains((byte)0x80);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool AreFinite(ReadOnlySpan<byte> floats)
    {
        foreach (var value in MemoryMarshal.Cast<byte, float>(floats))
            if (!float.IsFinite(value))
                return false;
        return true;
    }
}
