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
    private readonly long _submitted = Stopwatch.GetTimestamp();
    private TimeSpan? _firstToken;

    public Sequence(GenerationRequest request, int maxLength, Sampler sampler, KvBlockPool pool, CancellationToken cancel)
    {
        (Request, Sampler, Cancel) = (request, sampler, cancel);
        _tokens = [.. request.Prompt];
        Kv = new SequenceKv(pool);
        Limit = Math.Min(request.MaxTokens, maxLength - request.Prompt.Count);
        Handle = new SequenceHandle(_output.Reader, _completion.Task);
    }

    public GenerationRequest Request { get; }

    public Sampler Sampler { get; }

    public CancellationToken Cancel { get; }

    public SequenceKv Kv { get; }

    public SequenceHandle Handle { get; }

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

    /// <summary>Takes a generated token and passes it on.</summary>
    public void Append(int token)
    {
        _firstToken ??= Stopwatch.GetElapsedTime(_submitted);
        _tokens.Add(token);
        _output.Writer.TryWrite(token);
    }

    public void Finish(FinishReason reason)
    {
        var total = Stopwatch.GetElapsedTime(_submitted);
        var prefill = _firstToken ?? total;
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
