using Grok1Cluster.Engine;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Soak.Bench;

/// <summary>
/// Many clients at a time that send requests of mixed lengths to an engine and cancel some of them at random. Every token that
/// any of them gets must be the one that the request gets alone, greedily.
/// </summary>
public sealed class Soak
{
    private const int Kinds = 24;
    private const int MostPrompt = 150;
    private const int MostGenerated = 60;

    private readonly InferenceEngine _engine;
    private readonly GenerationRequest[] _requests;
    private readonly IReadOnlyList<int>[] _alone = new IReadOnlyList<int>[Kinds];
    private long _finished;
    private long _cancelled;
    private long _tokens;

    /// <param name="engine">Nobody else uses it.</param>
    /// <param name="vocabularySize">Of its model.</param>
    public Soak(InferenceEngine engine, int vocabularySize)
    {
        _engine = engine;
        var random = new Random(1);
        _requests = [.. Enumerable.Range(0, Kinds).Select(_ => new GenerationRequest
        {
            Prompt = [.. Enumerable.Range(0, 1 + random.Next(MostPrompt)).Select(_ => random.Next(vocabularySize))],
            MaxTokens = 1 + random.Next(MostGenerated),
            Sampling = new SamplingOptions { Temperature = 0 },
            IgnoreEos = true,
        })];
    }

    /// <summary>Requests that ran to their end, and were right.</summary>
    public long Finished => Interlocked.Read(ref _finished);

    /// <summary>Requests that were cancelled, and were right as far as they came.</summary>
    public long Cancelled => Interlocked.Read(ref _cancelled);

    /// <summary>Tokens that were compared.</summary>
    public long Tokens => Interlocked.Read(ref _tokens);

    /// <summary>Runs every request alone, one after the other: what all later answers are compared with.</summary>
    public async Task RunAloneAsync(CancellationToken cancel)
    {
        for (var kind = 0; kind < Kinds; kind++)
            _alone[kind] = (await _engine.Submit(_requests[kind], cancel).Completion).Tokens;
    }

    /// <summary>Runs clients until one of them is told to stop.</summary>
    /// <param name="clients">Requests at a time.</param>
    /// <param name="goOn">Asked before each request; a client ends when it says no.</param>
    /// <exception cref="InvalidDataException">A token differs; the message says where.</exception>
    public Task RunAsync(int clients, Func<bool> goOn) => Task.WhenAll(Enumerable.Range(0, clients).Select(client => Task.Run(() => ClientAsync(new Random(client), goOn))));

    private async Task ClientAsync(Random random, Func<bool> goOn)
    {
        while (goOn())
        {
            var kind = random.Next(Kinds);
            // A third is cancelled: before anything came, in the middle, or at the last token.
            var read = random.Next(3) == 0 ? random.Next(_requests[kind].MaxTokens + 1) : int.MaxValue;
            using var cancel = new CancellationTokenSource();
            await FollowAsync(kind, _engine.Submit(_requests[kind], cancel.Token), read, cancel);
        }
    }

    private async Task FollowAsync(int kind, SequenceHandle handle, int read, CancellationTokenSource cancel)
    {
        var count = 0;
        try
        {
            if (read == 0)
                await cancel.CancelAsync();
            await foreach (var token in handle.Tokens.ReadAllAsync(CancellationToken.None))
            {
                Check(kind, count++, token.Id);
                if (count == read)
                    await cancel.CancelAsync();
            }
            var result = await handle.Completion;
            if (!result.Tokens.SequenceEqual(_alone[kind]))
                throw new InvalidDataException($"request {kind}: {result.Tokens.Count} tokens that are not the {_alone[kind].Count} that it gets alone");
            Interlocked.Increment(ref _finished);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            Interlocked.Increment(ref _cancelled);
        }
        Interlocked.Add(ref _tokens, count);
    }

    private void Check(int kind, int index, int token)
    {
        if (index >= _alone[kind].Count || _alone[kind][index] != token)
            throw new InvalidDataException($"request {kind}: token {index} is {token}, alone it is {(index < _alone[kind].Count ? _alone[kind][index] : "none")}");
    }
}
