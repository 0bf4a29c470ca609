using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Engine.Forward;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>
/// Ping-pong: the number of micro-batches that makes a layer shortest, by the times of earlier layers. With d micro-batches
/// of rows / d each, a layer takes the longest of d coordinator parts, d worker parts, and one of each with the way there and
/// back. Each of the three is a line over the rows, fitted to what was seen with older layers counting less. Where cutting
/// gains nothing (the worker reads its weights once more for each part) the answer is 1. Not for concurrent use.
/// </summary>
public sealed class PipelineDepth : IPipelineDepth
{
    /// <summary>Layers to see before anything but 1 is tried.</summary>
    private const int LeastSamples = 32;

    /// <summary>What a further micro-batch has to gain, because a prediction is not that exact.</summary>
    private const double LeastGain = 1.05;

    /// <summary>The last hundred or so layers count.</summary>
    private const double Decay = 0.99;

    private readonly DecayingLine _coordinator = new(Decay);
    private readonly DecayingLine _worker = new(Decay);
    private readonly DecayingLine _away = new(Decay);
    private int _samples;

    /// <summary>The depth of the last step.</summary>
    public int Last { get; private set; } = 1;

    public int For(int rows)
    {
        Last = 1;
        if (_samples < LeastSamples)
            return 1;
        var shortest = LayerSeconds(rows, 1);
        for (var depth = 2; depth <= Math.Min(rows, ExpertBatch.MaxSlots); depth++)
            if (LayerSeconds(rows, depth) is var seconds && seconds * LeastGain < shortest)
                (Last, shortest) = (depth, seconds);
        return Last;
    }

    public void Computed(int rows, TimeSpan elapsed) => _coordinator.Add(rows, elapsed.TotalSeconds);

    /// <summary>A micro-batch came back.</summary>
    /// <param name="rows">Its rows.</param>
    /// <param name="worker">What the slowest worker computed.</param>
    /// <param name="away">The rest of the time between sending and the answer, without waiting for the worker.</param>
    public void Returned(int rows, TimeSpan worker, TimeSpan away)
    {
        _worker.Add(rows, worker.TotalSeconds);
        _away.Add(rows, away.TotalSeconds);
        _samples++;
    }

    private double LayerSeconds(int rows, int depth)
    {
        var part = (double)rows / depth;
        var (coordinator, worker, away) = (_coordinator.At(part), _worker.At(part), _away.At(part));
        return Math.Max(coordinator + worker + away, depth * Math.Max(coordinator, worker));
    }
}

/// <summary>The depth that was asked for.</summary>
/// <param name="depth">1 to <see cref="ExpertBatch.MaxSlots"/>.</param>
public sealed class FixedPipelineDepth(int depth) : IPipelineDepth
{
    public int For(int rows) => depth;

    public void Computed(int rows, TimeSpan elapsed)
    {
    }
}
