using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Threading.Channels;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Kv;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Speculation;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Engine.Scheduling;

/// <summary>A request inside the engine. Only the engine's thread touches it.</summary>
internal sealed class Sequence : IDisposable
{
    private readonly List<int> _tokens;
    private readonly Channel<GeneratedToken> _output = Channel.CreateUnbounded<GeneratedToken>(new UnboundedChannelOptions { SingleWriter = true });
    private readonly TaskCompletionSource<GenerationResult> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<TokenLogprobs> _promptLogprobs = [];
    private volatile bool _stopRequested;
    private readonly int[] _drafts;
    private int[] _stepTokens = [];
    private List<int[]>? _routedSinceToken;
    private int _routedPositions;

    public Sequence(GenerationRequest request, Grok1Config config, Sampler sampler, KvBlockPool pool, EngineOptions options, Sequence? leader, CancellationToken cancel)
    {
        (Request, Sampler, Leader, Cancel) = (request, sampler, leader, cancel);
        _tokens = [.. request.Prompt];
        _drafts = new int[options.DraftTokens];
        _routedSinceToken = request.RoutedExperts ? [] : null;
        Enders = [config.EosToken, .. request.StopTokens];
        Kv = new SequenceKv(pool);
        // All of it has to fit into the KV memory at once, as into the model.
        Limit = Math.Min(request.MaxTokens, Math.Min(config.MaxSequenceLength, pool.Positions) - request.Prompt.Count);
        Times = new SequenceTimes { PromptTokens = request.Prompt.Count, MaxTokens = request.MaxTokens };
        Handle = new SequenceHandle(_output.Reader, _completion.Task, _promptLogprobs, Times, () => _stopRequested = true);
    }

    public GenerationRequest Request { get; }

    public Sampler Sampler { get; }

    /// <summary>A sequence with the same prompt that computes it first, so that this one finds it in the prefix cache; null for none.</summary>
    public Sequence? Leader { get; }

    public CancellationToken Cancel { get; }

    public SequenceKv Kv { get; }

    public SequenceHandle Handle { get; }

    public SequenceTimes Times { get; }

    /// <summary>The caller has enough.</summary>
    public bool StopRequested => _stopRequested;

    /// <summary>Most tokens to generate, within the model's longest sequence.</summary>
    public int Limit { get; }

    /// <summary>Tokens that would end it: they cannot come before <see cref="GenerationRequest.MinTokens"/>.</summary>
    public int[] Enders { get; }

    /// <summary>Prompt and what was generated.</summary>
    public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    public int Generated => _tokens.Count - Request.Prompt.Count;

    /// <summary>Tokens whose keys and values are not stored yet; 1 while decoding.</summary>
    public int Pending => _tokens.Count - Kv.Length;

    /// <summary>Rows that the step under way computes for it: pending tokens, then drafts.</summary>
    public int Scheduled { get; set; }

    /// <summary>Of <see cref="Scheduled"/>, rows of guessed tokens.</summary>
    public int Drafts { get; private set; }

    /// <summary>Whether the step under way computes all that is pending, so that a token can be chosen.</summary>
    public bool Completes => Scheduled - Drafts == Pending;

    /// <summary>Whether its prompt has been computed, or never will be.</summary>
    public bool PromptDone { get; private set; }

    /// <summary>The first position whose log-probability for the next prompt token is still wanted; null when none is.</summary>
    public int? FirstUnscored => Request.PromptLogprobs is not null && _promptLogprobs.Count < Request.Prompt.Count - 1 ? _promptLogprobs.Count : null;

    /// <summary>Whether every position must be computed: something is to be told of it.</summary>
    private bool WantsEveryPosition => FirstUnscored is not null || _routedSinceToken is not null && _routedPositions < Request.Prompt.Count;

    /// <summary>Gets KV memory: takes over what the prefix cache has.</summary>
    /// <returns>Positions that need not be computed.</returns>
    public int Start()
    {
        var cached = WantsEveryPosition ? 0 : Kv.Adopt(Tokens);
        // After a preemption it leaves the queue again, which changes nothing.
        if (Times.Admitted == 0)
            (Times.Admitted, Times.CachedTokens) = (Stopwatch.GetTimestamp(), cached);
        return cached;
    }

    /// <summary>Guesses what follows, for a sequence that decodes.</summary>
    /// <returns>Guesses to schedule beside the pending token, 0 or more.</returns>
    public int Draft() => Drafts = PromptLookup.Draft(Tokens, _drafts.AsSpan(0, Math.Min(_drafts.Length, Limit - Generated - 1)));

    /// <summary>Forgets the guesses of the last step, or those for which there is no room.</summary>
    public void DropDrafts() => Drafts = 0;

    /// <summary>The guess after this many others.</summary>
    public int DraftAt(int index) => _drafts[index];

    /// <summary>Tokens of the rows that the step under way computes.</summary>
    public ReadOnlySpan<int> StepTokens()
    {
        var pending = Tokens.Slice(Kv.Length, Scheduled - Drafts);
        if (Drafts == 0)
            return pending;
        if (_stepTokens.Length < Scheduled)
            _stepTokens = new int[1 + _drafts.Length];
        pending.CopyTo(_stepTokens);
        _drafts.AsSpan(0, Drafts).CopyTo(_stepTokens.AsSpan(pending.Length));
        return _stepTokens.AsSpan(0, Scheduled);
    }

    /// <summary>Takes the log-probability of the next prompt token.</summary>
    public void AddPromptLogprobs(TokenLogprobs logprobs) => _promptLogprobs.Add(logprobs);

    /// <summary>Takes the experts of a computed position, unless they are known from before a preemption.</summary>
    /// <param name="experts">[layers, k].</param>
    public void AddRouted(int position, int[] experts)
    {
        if (position != _routedPositions)
            return;
        _routedSinceToken!.Add(experts);
        _routedPositions++;
    }

    /// <summary>The prompt has been computed.</summary>
    public void FinishPrompt() => PromptDone = true;

    /// <summary>Takes a generated token and passes it on.</summary>
    /// <param name="token">The token.</param>
    /// <param name="now">When it was generated.</param>
    /// <param name="logprobs">If asked for.</param>
    public void Append(int token, long now, TokenLogprobs? logprobs)
    {
        if (Times.FirstToken == 0)
            Times.FirstToken = now;
        Times.LastToken = now;
        Times.GeneratedTokens++;
        _tokens.Add(token);
        _output.Writer.TryWrite(new GeneratedToken(token, logprobs, TakeRouted()));
    }

    public void Finish(FinishReason reason)
    {
        PromptDone = true;
        var total = Stopwatch.GetElapsedTime(Times.Submitted);
        var prefill = Times.FirstToken == 0 ? total : Stopwatch.GetElapsedTime(Times.Submitted, Times.FirstToken);
        _completion.TrySetResult(new GenerationResult(_tokens[Request.Prompt.Count..], reason, prefill, total - prefill, TakeRouted()));
        _output.Writer.TryComplete();
    }

    public void Fail(Exception exception)
    {
        PromptDone = true;
        if (exception is OperationCanceledException)
            _completion.TrySetCanceled(Cancel.IsCancellationRequested ? Cancel : CancellationToken.None);
        else
            _completion.TrySetException(exception);
        // Whoever only reads tokens still learns of it; an unobserved completion is no fault of its own.
        _ = _completion.Task.Exception;
        _output.Writer.TryComplete(exception);
    }

    public void Dispose() => Kv.Dispose();

    private List<int[]>? TakeRouted()
    {
        if (_routedSinceToken is not { } taken)
            return null;
        _routedSinceToken = [];
        return taken;
    }
}
