using System.Collections.Concurrent;
using System.Diagnostics;
using Grok1Cluster.Engine.Forward;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Kv;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine;

/// <summary>
/// Continuous batching: one thread that schedules a step, runs it, and hands out what it gave. Sequences join and leave
/// between steps; a sequence's tokens depend on its request alone, not on what else is in the batch.
/// </summary>
public sealed class InferenceEngine : IDisposable
{
    private readonly Grok1Config _config;
    private readonly StepRunner _runner;
    private readonly KvBlockPool _pool;
    private readonly EngineOptions _options;
    private readonly Scheduler _scheduler;
    private readonly SamplingWorkspace _workspace;
    private readonly ConcurrentQueue<Sequence> _arrivals = new();
    private readonly SemaphoreSlim _signal = new(0);
    private readonly CancellationTokenSource _stopping = new();
    private readonly List<Sequence> _all = [];
    private readonly Thread _thread;
    private int _queued;
    private long _steps;

    /// <param name="config">The model.</param>
    /// <param name="forward">One step; used by this engine's thread only, not disposed.</param>
    /// <param name="pool">KV memory; likewise.</param>
    /// <param name="options">How a step is shared.</param>
    public InferenceEngine(Grok1Config config, ForwardPass forward, KvBlockPool pool, EngineOptions options)
    {
        (_config, _pool, _options) = (config, pool, options);
        _runner = new StepRunner(config, forward, options.Observer);
        _scheduler = new Scheduler(pool, options);
        _workspace = new SamplingWorkspace(config.VocabularySize);
        Statistics = Snapshot();
        _thread = new Thread(Loop) { IsBackground = true, Name = "engine" };
        _thread.Start();
    }

    /// <summary>As of the last step.</summary>
    public EngineStatistics Statistics { get; private set; }

    /// <summary>Puts a sequence in the queue.</summary>
    /// <inheritdoc cref="Submit(IReadOnlyList{GenerationRequest}, CancellationToken)"/>
    public SequenceHandle Submit(GenerationRequest request, CancellationToken cancel) => Submit([request], cancel)[0];

    /// <summary>Puts sequences in the queue, all or none. Of those with the same prompt (the same list) the first computes it for all.</summary>
    /// <param name="requests">What to generate.</param>
    /// <param name="cancel">Takes all of them out, at the latest after the step under way.</param>
    /// <exception cref="PromptException">The model cannot take a prompt.</exception>
    /// <exception cref="QueueFullException">Too many wait.</exception>
    /// <exception cref="ArgumentException">A sampling option is out of range.</exception>
    public IReadOnlyList<SequenceHandle> Submit(IReadOnlyList<GenerationRequest> requests, CancellationToken cancel)
    {
        foreach (var request in requests)
            Check(request);
        ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested, this);
        var sequences = new Sequence[requests.Count];
        for (var i = 0; i < sequences.Length; i++)
        {
            var leader = sequences.Take(i).FirstOrDefault(earlier => ReferenceEquals(earlier.Request.Prompt, requests[i].Prompt));
            sequences[i] = new Sequence(requests[i], _config, new Sampler(requests[i].Sampling, _workspace), _pool, _options, leader, cancel);
        }
        if (Interlocked.Add(ref _queued, sequences.Length) > _options.MaxWaiting)
        {
            Interlocked.Add(ref _queued, -sequences.Length);
            throw new QueueFullException(_options.MaxWaiting);
        }
        foreach (var sequence in sequences)
            _arrivals.Enqueue(sequence);
        _signal.Release();
        return [.. sequences.Select(sequence => sequence.Handle)];
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
        _runner.Dispose();
        _stopping.Dispose();
        _signal.Dispose();
    }

    private void Check(GenerationRequest request)
    {
        var toGenerate = Math.Min(1, request.MaxTokens);
        PromptRules.Check(request.Prompt, _config, toGenerate);
        if (KvBlockPool.BlocksFor(request.Prompt.Count + toGenerate) > _pool.Capacity)
            throw new PromptException($"the prompt has {request.Prompt.Count} tokens, the KV memory holds {_pool.Positions}; shorten it, or start with more --kv-memory");
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
            else if (sequence.StopRequested)
                End(sequence, FinishReason.Stop);
    }

    private void RunStep(IReadOnlyList<Sequence> step)
    {
        var start = Stopwatch.GetTimestamp();
        // The step's list changes when a sequence ends in it.
        var (sequences, traced) = (step.Count, FirstTraced(step));
        try
        {
            _runner.Run(step, _stopping.Token);
            HandOut(step);
        }
        catch (Exception e)
        {
            // What a step had computed is lost with it, for every sequence that was in it.
            foreach (var sequence in step.ToArray())
                End(sequence, e);
            _options.StepFailed?.Invoke(e);
            return;
        }
        _steps++;
        var end = Stopwatch.GetTimestamp();
        _scheduler.StepDone(_runner.Rows, Stopwatch.GetElapsedTime(start, end));
        _options.Observer?.StepEnded(new StepTimes(start, end, _runner.Rows, sequences, traced));
    }

    private static SequenceTimes? FirstTraced(IReadOnlyList<Sequence> step)
    {
        for (var i = 0; i < step.Count; i++)
            if (step[i].Times.IsTraced)
                return step[i].Times;
        return null;
    }

    private void HandOut(IReadOnlyList<Sequence> step)
    {
        foreach (var sequence in step.ToArray())
            try
            {
                if (_runner.HandOut(sequence) is { } reason)
                    End(sequence, reason);
            }
            catch (NonFiniteLogitException e)
            {
                End(sequence, e);
            }
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
        _scheduler.Running.Count, _scheduler.Waiting, _pool.Capacity - _pool.Available, _pool.Capacity, _steps, _runner.PromptTokens, _runner.GeneratedTokens,
        _scheduler.CachedTokens, _scheduler.Preemptions, _runner.DraftedTokens, _runner.AcceptedTokens);
}
