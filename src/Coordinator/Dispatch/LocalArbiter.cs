using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Kernels;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Numerics;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>
/// Computes a call here, where the coordinator's own store has the weights, to say which of two workers is right. That is
/// rare, so it takes its time: tiles are mapped, checked against their hashes and let go. Used by the engine's thread.
/// </summary>
/// <param name="store">The coordinator's; may be a share without experts.</param>
/// <param name="pool">Computes, between the coordinator's own jobs.</param>
public sealed unsafe class LocalArbiter(ModelStore store, ComputePool pool)
{
    /// <summary>Whether a worker's answers have the bits of this machine's.</summary>
    internal static bool IsLike(string kernelId) => kernelId == CpuFeatures.KernelId;

    /// <summary>The answer that a call should have; null where the weights are not here, or are damaged.</summary>
    internal byte[]? Answer(WorkerCall call)
    {
        var opened = new List<ExpertTile>();
        try
        {
            return Answer(call, opened);
        }
        catch (ModelException)
        {
            return null;
        }
        finally
        {
            foreach (var tile in opened)
                tile.Dispose();
        }
    }

    private byte[]? Answer(WorkerCall call, List<ExpertTile> opened)
    {
        var frame = call.Frame;
        var exact = frame.ActivationFormat == TensorFormat.Float32;
        var layout = store.ExpertLayout;
        using var input = new Activations(layout.InputAxis, exact ? ActivationFormat.Float32 : ActivationFormat.Int8Blocks);
        Fill(input, frame);
        using var feedForward = new CpuExpertFeedForward(pool, layout, PanelProduct.ActivationsFor(layout.Format, exact));
        var executor = new BundleExecutor(feedForward);
        int[] experts = [.. frame.Experts.ToArray().Select(expert => (int)expert)];
        var length = call.Rows * store.Config.EmbeddingDim;
        using var sum = new NativeBuffer<float>(length);
        var answer = new byte[call.Route.Bundles.Count * length * (exact ? sizeof(float) : sizeof(ushort))];
        for (var bundle = 0; bundle < call.Route.Bundles.Count; bundle++)
        {
            var tiles = new List<ExpertTile>();
            foreach (var range in call.Route.Ranges(bundle))
            {
                var slice = new ExpertSlice((int)frame.Layer, (int)range.Expert, (int)range.Start, (int)range.End);
                if (!store.Holds(slice))
                    return null;
                var tile = store.OpenTile(slice);
                opened.Add(tile);
                store.CheckTile(tile, CancellationToken.None);
                tiles.Add(tile);
            }
            sum.Slice(0, length).Clear();
            executor.Run(tiles, input, experts, MemoryMarshal.Cast<byte, float>(frame.Gates), sum.Pointer);
            var target = answer.AsSpan(bundle * (answer.Length / call.Route.Bundles.Count), answer.Length / call.Route.Bundles.Count);
            if (exact)
                MemoryMarshal.AsBytes(sum.Slice(0, length)).CopyTo(target);
            else
                Bf16.Round(sum.Slice(0, length), MemoryMarshal.Cast<byte, ushort>(target));
        }
        return answer;
    }

    private static void Fill(Activations input, CallFrame frame)
    {
        input.Resize((int)frame.Tokens);
        if (input.Format == ActivationFormat.Float32)
        {
            frame.Activations.CopyTo(new Span<byte>(input.Floats, frame.Activations.Length));
            return;
        }
        frame.Activations.CopyTo(new Span<byte>(input.Values, frame.Activations.Length));
        frame.Scales.CopyTo(new Span<byte>(input.Scales, frame.Scales.Length));
        for (var row = 0; row < frame.Tokens; row++)
            input.Complete(row);
        input.AddOutliers(MemoryMarshal.Cast<byte, RowOutlier>(frame.Outliers));
    }
}
