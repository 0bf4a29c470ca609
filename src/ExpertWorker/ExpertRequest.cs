using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.ExpertWorker;

/// <summary>Why a call cannot be computed.</summary>
public sealed record CallRefusal(CallFailure.Types.Reason Reason, string Message);

/// <summary>A call whose every field has been checked: what it says fits the model, and its tiles are held.</summary>
public sealed class ExpertRequest
{
    private ExpertRequest(ExpertCall call, IReadOnlyList<IReadOnlyList<ExpertTile>> bundles) => (Call, Bundles) = (call, bundles);

    public ExpertCall Call { get; }

    /// <summary>Each bundle's tiles, in the order of its sum.</summary>
    public IReadOnlyList<IReadOnlyList<ExpertTile>> Bundles { get; }

    /// <summary>Whether activations are float32.</summary>
    public bool IsExact => Call.ActivationFormat == TensorFormat.Float32;

    /// <summary>Checks a call against the model before anything is sized by it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static ExpertRequest? Check(ExpertCall call, TileStore tiles, out CallRefusal? refusal)
    {
        refusal = FindFault(call, tiles.Model);
        if (refusal is not null)
            return null;
        var bundles = new List<IReadOnlyList<ExpertTile>>(call.Bundles.Count);
        foreach (var bundle in call.Bundles)
        {
            var held = new List<ExpertTile>(bundle.Tiles.Count);
            foreach (var tile in bundle.Tiles)
            {
                var slice = new ExpertSlice((int)call.Layer, (int)tile.Expert, (int)tile.Start, (int)tile.End);
                if (tiles.Find(slice) is not { } found)
                {
                    refusal = new CallRefusal(CallFailure.Types.Reason.NotHeld, $"layer {call.Layer} expert {tile.Expert} columns [{tile.Start}, {tile.End}) is not held here");
                    return null;
                }
                held.Add(found);
            }
            bundles.Add(held);
        }
        return new ExpertRequest(call, bundles);
    }

    /// <summary>Copies the activations into kernel buffers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public unsafe void CopyTo(Activations target)
    {
        var rows = (int)Call.Tokens;
        target.Resize(rows);
        if (target.Format == ActivationFormat.Float32)
        {
            Call.Activations.Span.CopyTo(new Span<byte>(target.Floats, Call.Activations.Length));
            return;
        }
        Call.Activations.Span.CopyTo(new Span<byte>(target.Values, Call.Activations.Length));
        Call.Scales.Span.CopyTo(new Span<byte>(target.Scales, Call.Scales.Length));
        for (var row = 0; row < rows; row++)
            target.UpdateSums(row);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static CallRefusal? FindFault(ExpertCall call, ModelStore model)
    {
        var config = model.Config;
        var axis = model.ExpertLayout.InputAxis;
        var quantised = call.ActivationFormat == TensorFormat.Int8Blocks;
        CallRefusal Invalid(string what) => new(CallFailure.Types.Reason.Invalid, what);
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
        if (call.Bundles.Count == 0 || call.Bundles.Any(bundle => bundle.Tiles.Count == 0))
            return Invalid("a call needs at least one bundle, a bundle at least one tile");
        if (call.Tokens == 0)
            return Invalid("a call needs at least one token");
        long tokens = call.Tokens;
        if (call.Bundles.Count * tokens * config.EmbeddingDim * (call.ResultFormat == TensorFormat.Float32 ? 4L : 2L) > ExpertMethods.MaxMessageBytes)
            return Invalid($"the results of {call.Bundles.Count} bundles for {tokens} tokens exceed {ExpertMethods.MaxMessageBytes} bytes");
        foreach (var (name, actual, expected) in (ReadOnlySpan<(string, long, long)>)[
            ("activations", call.Activations.Length, tokens * axis.PaddedLength * (quantised ? 1 : 4)),
            ("scales", call.Scales.Length, quantised ? tokens * axis.BlockCount * 4 : 0),
            ("experts", call.Experts.Length, tokens * config.ExpertsPerToken),
            ("gates", call.Gates.Length, tokens * config.ExpertsPerToken * 4)])
            if (actual != expected)
                return Invalid($"{name} has {actual} bytes, {expected} are expected for {tokens} tokens");
        if (Crc32C.Compute(call.Activations.Span, call.Scales.Span, call.Experts.Span, call.Gates.Span) != call.Checksum)
            return new CallRefusal(CallFailure.Types.Reason.Corrupt, "the payload does not have its checksum");
        return AreSound(call, config.ExpertCount) ? null : Invalid("a value is not finite, an int8 is -128, a scale is negative, or an expert is out of range");
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool AreSound(ExpertCall call, int experts)
    {
        foreach (var expert in call.Experts.Span)
            if (expert >= experts)
                return false;
        if (!AreFinite(call.Gates.Span) || !AreFinite(call.Scales.Span))
            return false;
        foreach (var scale in MemoryMarshal.Cast<byte, float>(call.Scales.Span))
            if (scale < 0)
                return false;
        return call.ActivationFormat == TensorFormat.Float32 ? AreFinite(call.Activations.Span) : !call.Activations.Span.Contains((byte)0x80);
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
