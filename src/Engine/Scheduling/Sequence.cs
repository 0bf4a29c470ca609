using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Threading.Channels;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Kv;
using Grok1Cluster.Engine.Sampling;

namespace Grok1Cluster.Engine.Scheduling;

/// <summary>A request inside the engine. Only the engine's thread touches it.</summary>
internal sealed class Sequence : IDisposable
{
    private readonly List<int> _tokens;
    private readonly Channel<int> _output = Channel.CreateUnbounded<int>(new UnboundedChannelOptions { SingleWriter = true });
    private readonly TaskCompletionSource<GenerationResult> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Sequence(GenerationRequest request, int maxLength, Sampler sampler, KvBlockPool pool, CancellationToken cancel)
    {
        (Request, Sampler, Cancel) = (request, sampler, cancel);
        _tokens = [.. request.Prompt];
        Kv = new SequenceKv(pool);
        Times = new SequenceTimes { PromptTokens = request.Prompt.Count, MaxTokens = request.MaxTokens };
        Limit = Math.Min(request.MaxTokens, maxLength - request.Prompt.Count);
        Handle = new SequenceHandle(_output.Reader, _completion.Task);
    }

    public GenerationRequest Request { get; }

    public Sampler Sampler { get; }

    public CancellationToken Cancel { get; }

    public SequenceKv Kv { get; }

    public SequenceHandle Handle { get; }

    public SequenceTimes Times { get; }

    /// <summary>Most tokens to generate, within the model's longest sequence.</summary>
    public int Limit { get; }

    /// <summary>Prompt and what was generated.</summary>
    public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    public int Generated => _tokens.Count - Request.Prompt.Count;

    /// <summary>Tokens whose keys and values are not stored yet; 1 while decoding.</summary>
    public int Pending => _tokens.Count - Kv.Length;

    /// <summary>Rows that the step under way computes for it.</summary>
    public int Scheduled { get; set; }

    /// <summary>Prompt tokens that the prefix cache had.</summary>
    public int CachedTokens { get; set; }

    /// <summary>It left the queue; after a preemption it does so again, which changes nothing.</summary>
    public void MarkAdmitted()
    {
        if (Times.Admitted == 0)
            (Times.Admitted, Times.CachedTokens) = (Stopwatch.GetTimestamp(), CachedTokens);
    }

    /// <summary>Takes a generated token and passes it on.</summary>
    /// <param name="token">The token.</param>
    /// <param name="now">When it was generated.</param>
    public void Append(int token, long now)
    {
        if (Times.FirstToken == 0)
            Times.FirstToken = now;
        Times.LastToken = now;
        Times.GeneratedTokens++;
        _tokens.Add(token);
        _output.Writer.TryWrite(token);
    }

    public void Finish(FinishReason reason)
    {
        var total = Stopwatch.GetElapsedTime(Times.Submitted);
        var prefill = Times.FirstToken == 0 ? total : Stopwatch.GetElapsedTime(Times.Submitted, Times.FirstToken);
        _completion.TrySetResult(new GenerationResult(_tokens[Request.Prompt.Count..], reason, prefill, total - prefill));
        _output.Writer.TryComplete();
    }

    public void Fail(Exception exception)
    {
        if (exception is OperationCanceledException)
            _completion.TrySetCanceled(Cancel.IsCancellationRequested ? Cancel : CancellationToken.None);
        else
            _completion.TrySetException(exception);
        // Whoever only reads tokens still learns of it; an unobserved completion is no fault of its own.
        _ = _completion.Task.Exception;
        _output.Writer.TryComplete(exception);
    }

    public void Dispose() => Kv.Dispose();
}
