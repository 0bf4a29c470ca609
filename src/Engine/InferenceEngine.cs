using System.Collections.Concurrent;
using System.Diagnostics;
using Grok1Cluster.Engine.Forward;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Kv;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine;

/// <summary>Counters of an engine, as of the last step.</summary>
public sealed record EngineStatistics(int Running, int Waiting, int KvBlocksUsed, int KvBlocks, long Steps, long PromptTokens, long GeneratedTokens, long CachedTokens, long Preemptions);

/// <summary>
/// Continuous batching: one thread that schedules a step, runs it, and hands out what it gave. Sequences join and leave
/// between steps; a sequence's tokens depend on its request alone, not on what else is in the batch.
/// </summary>
public sealed class InferenceEngine : IDisposable
{
    private readonly Grok1Config _config;
    private readonly ForwardPass _forward;
    private readonly KvBlockPool _pool;
    private readonly EngineOptions _options;
    private readonly Scheduler _scheduler;
    private readonly SamplingWorkspace _workspace;
    private readonly ConcurrentQueue<Sequence> _arrivals = new();
    private readonly SemaphoreSlim _signal = new(0);
    private readonly CancellationTokenSource _stopping = new();
    private readonly TokenBatch _batch = new();
    private readonly List<Sequence> _all = [];
    private readonly List<int> _logitRows = [];
    private readonly Thread _thread;
    private NativeBuffer<float> _logits = new(0);
    private int _queued;
    private long _steps;
    private long _promptTokens;
    private long _generatedTokens;

    /// <param name="config">The model.</param>
    /// <param name="forward">One step; used by this engine's thread only, not disposed.</param>
    /// <param name="pool">KV memory; likewise.</param>
    /// <param name="options">How a step is shared.</param>
    public InferenceEngine(Grok1Config config, ForwardPass forward, KvBlockPool pool, EngineOptions options)
    {
        (_config, _forward, _pool, _options) = (config, forward, pool, options);
        _scheduler = new Scheduler(pool, options);
        _workspace = new SamplingWorkspace(config.VocabularySize);
        Statistics = Snapshot();
        _thread = new Thread(Loop) { IsBackground = true, Name = "engine" };
        _thread.Start();
    }

    /// <summary>As of the last step.</summary>
    public EngineStatistics Statistics { get; private set; }

    /// <summary>Puts a sequence in the queue.</summary>
    /// <param name="request">What to generate.</param>
    /// <param name="cancel">Takes the sequence out, at the latest after the step under way.</param>
    /// <exception cref="PromptException">The model cannot take the prompt.</exception>
    /// <exception cref="QueueFullException">Too many wait.</exception>
    /// <exception cref="ArgumentException">A sampling option is out of range.</exception>
    public SequenceHandle Submit(GenerationRequest request, CancellationToken cancel)
    {
        PromptRules.Check(request.Prompt, _config, toGenerate: 1);
        if (KvBlockPool.BlocksFor(request.Prompt.Count + 1) > _pool.Capacity)
            throw new PromptException($"the prompt has {request.Prompt.Count} tokens, the KV memory holds {_pool.Capacity * Kernels.KvCache.KvBlockLayout.Tokens}; shorten it, or start with more --kv-memory");
        ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested, this);
        if (Interlocked.Increment(ref _queued) > _options.MaxWaiting)
        {
            Interlocked.Decrement(ref _queued);
            throw new QueueFullException(_options.MaxWaiting);
        }
        var sequence = new Sequence(request, _config.MaxSequenceLength, new Sampler(request.Sampling, _workspace), _pool, cancel);
        _arrivals.Enqueue(sequence);
        _signal.Release();
        return sequence.Handle;
    }

    /// <summary>Stops after the step under way; what has not finished is cancelled.</summary>
    public void Dispose()
    {
        if (_stopping.IsCancellationRequested)
            return;
        _stopping.Cancel();
        _signal.Release();
        _thread.Join();
        // What was submitted while the thread ended.
        TakeArrivals();
        FailAll(new OperationCanceledException("the engine stops"));
        _logits.Dispose();
        _stopping.Dispose();
        _signal.Dispose();
    }

    private void Loop()
    {
        while (!_stopping.IsCancellationRequested)
        {
            TakeArrivals();
            DropCancelled();
            var step = _scheduler.Schedule();
            Volatile.Write(ref _queued, _scheduler.Waiting + _arrivals.Count);
            if (step.Count > 0)
                RunStep(step);
            else if (_arrivals.IsEmpty)
                _signal.Wait();
            Statistics = Snapshot();
        }
    }

    private void TakeArrivals()
    {
        while (_arrivals.TryDequeue(out var sequence))
        {
            _scheduler.Add(sequence);
            // Wakes an engine that sleeps because nothing is scheduled: there is nothing to do for it until then.
            sequence.Cancel.UnsafeRegister(static signal => ReleaseQuietly((SemaphoreSlim)signal!), _signal);
        }
    }

    private static void ReleaseQuietly(SemaphoreSlim signal)
    {
        try
        {
            signal.Release();
        }
        catch (ObjectDisposedException)
        {
            // The engine is gone and took the sequence with it.
        }
    }

    private void DropCancelled()
    {
        _all.Clear();
        _scheduler.CopyTo(_all);
        foreach (var sequence in _all)
            if (sequence.Cancel.IsCancellationRequested)
                End(sequence, new OperationCanceledException(sequence.Cancel));
    }

    private void RunStep(IReadOnlyList<Sequence> step)
    {
        var start = Stopwatch.GetTimestamp();
        Assemble(step);
        // The step's list changes when a sequence ends in it.
        var (sequences, traced) = (step.Count, FirstTraced(step));
        try
        {
            _forward.Run(_batch, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_logitRows), _logits, _stopping.Token);
            HandOut(step);
        }
        catch (Exception e)
        {
            // What a step had computed is lost with it, for every sequence that was in it.
            foreach (var sequence in step.ToArray())
                End(sequence, e);
            return;
        }
        _steps++;
        var end = Stopwatch.GetTimestamp();
        _scheduler.StepDone(_batch.Rows, Stopwatch.GetElapsedTime(start, end));
        _options.Observer?.StepEnded(new StepTimes(start, end, _batch.Rows, sequences, traced));
    }

    private static SequenceTimes? FirstTraced(IReadOnlyList<Sequence> step)
    {
        for (var i = 0; i < step.Count; i++)
            if (step[i].Times.IsTraced)
                return step[i].Times;
        return null;
    }

    private void Assemble(IReadOnlyList<Sequence> step)
    {
        _batch.Clear();
        _logitRows.Clear();
        foreach (var sequence in step)
        {
            _batch.Add(sequence.Tokens.Slice(sequence.Kv.Length, sequence.Scheduled), sequence.Kv.Length, sequence.Kv.Blocks);
            if (sequence.Scheduled == sequence.Pending)
                _logitRows.Add(_batch.Rows - 1);
        }
        var length = (long)_logitRows.Count * _config.VocabularySize;
        if (_logits.Length >= length)
            return;
        _logits.Dispose();
        _logits = new NativeBuffer<float>(2 * length);
    }

    private void HandOut(IReadOnlyList<Sequence> step)
    {
        var logits = 0;
        foreach (var sequence in step.ToArray())
        {
            var complete = sequence.Scheduled == sequence.Pending;
            _promptTokens += sequence.Generated == 0 ? sequence.Scheduled : 0;
            sequence.Kv.Advance(sequence.Scheduled, sequence.Tokens);
            if (complete)
                Extend(sequence, _logits.Slice((long)logits++ * _config.VocabularySize, _config.VocabularySize));
        }
    }

    private void Extend(Sequence sequence, ReadOnlySpan<float> logits)
    {
        int token;
        try
        {
            token = sequence.Sampler.Sample(logits, sequence.Tokens);
        }
        catch (NonFiniteLogitException e)
        {
            End(sequence, e);
            return;
        }
        if (token == _config.EosToken && !sequence.Request.IgnoreEos)
        {
            End(sequence, FinishReason.Stop);
            return;
        }
        var now = Stopwatch.GetTimestamp();
        _options.Observer?.TokenGenerated(sequence.Times, now);
        sequence.Append(token, now);
        _generatedTokens++;
        if (sequence.Generated == sequence.Limit)
            End(sequence, FinishReason.Length);
        else if (KvBlockPool.BlocksFor(sequence.Tokens.Length) > _pool.Capacity)
            End(sequence, new ResourceException($"{sequence.Tokens.Length} positions do not fit into the KV memory of {_pool.Capacity * Kernels.KvCache.KvBlockLayout.Tokens}; start with more --kv-memory"));
    }

    private void End(Sequence sequence, FinishReason reason)
    {
        _scheduler.Remove(sequence);
        Observe(sequence, reason == FinishReason.Stop ? SequenceOutcome.Stop : SequenceOutcome.Length);
        sequence.Finish(reason);
    }

    private void End(Sequence sequence, Exception exception)
    {
        _scheduler.Remove(sequence);
        Observe(sequence, exception is OperationCanceledException ? SequenceOutcome.Cancelled : SequenceOutcome.Failed);
        sequence.Fail(exception);
    }

    private void Observe(Sequence sequence, SequenceOutcome outcome)
    {
        sequence.Times.Ended = Stopwatch.GetTimestamp();
        _options.Observer?.SequenceEnded(sequence.Times, outcome);
    }

    private void FailAll(Exception exception)
    {
        _all.Clear();
        _scheduler.CopyTo(_all);
        foreach (var sequence in _all)
            End(sequence, exception);
    }

    private EngineStatistics Snapshot() => new(
        _scheduler.Running.Count, _scheduler.Waiting, _pool.Capacity - _pool.Available, _pool.Capacity, _steps, _promptTokens, _generatedTokens, _scheduler.CachedTokens, _scheduler.Preemptions);
}
