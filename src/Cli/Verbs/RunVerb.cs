using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Starts a cluster on this machine, generates one text, stops the cluster.</summary>
internal static class RunVerb
{
    public static Command Create()
    {
        var prompt = new PromptOptions();
        var cluster = new ClusterOptions(defaultWorkers: 4);
        var sampling = new SamplingOptions();
        var verb = new Verb("run", "Start a coordinator and worker processes on this machine, stream a text, stop them.",
            "grok1 run \"My fellow Americans, \" --max-tokens 60",
            "grok1 run --prompt-file - --temperature 0 < prompt.txt",
            "grok1 run \"The whale\" --workers 3 --plan whole --seed 7 --json");
        prompt.AddTo(verb);
        sampling.AddTo(verb);
        cluster.AddTo(verb);
        verb.AddJson();
        verb.Runs(async (context, cancellation) =>
        {
            var source = prompt.Read(context);
            var settings = sampling.Read(context);
            var (text, tokens) = (default(string), Array.Empty<int>());
            var options = ClusterStarter.Options(context, cluster.Read(context), cancellation) with
            {
                Opened = (store, tokenizer) =>
                {
                    (text, tokens) = source.Tokenise(tokenizer, store.Name);
                    PromptRules.Check(tokens, store.Config, toGenerate: 1);
                },
            };
            await using var session = await ClusterStarter.StartAsync(context, options, cancellation);
            var request = new GenerationRequest { Prompt = tokens, MaxTokens = settings.MaxTokens, Sampling = settings.ToEngine(), IgnoreEos = settings.IgnoreEos };
            var result = await GenerateAsync(context, session, text, request, cancellation);
            Report(context, session, text, request, result);
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static async Task<GenerationResult> GenerateAsync(VerbContext context, ClusterSession session, string? prompt, GenerationRequest request, CancellationToken cancellation)
    {
        var handle = session.StartEngine(new EngineOptions()).Submit(request, cancellation);
        var live = !context.Output.Json;
        var decoder = live ? session.Tokenizer?.CreateDecoder(request.Prompt) : null;
        if (live && prompt is not null)
            context.Output.WritePrompt(prompt);
        await foreach (var token in handle.Tokens.ReadAllAsync(cancellation))
            if (live)
                context.Output.Stream(decoder is null ? $"{token.Id} " : decoder.Append(token.Id));
        if (live)
            context.Output.WriteLine(decoder?.Flush() ?? "");
        return await handle.Completion;
    }

    private static void Report(VerbContext context, ClusterSession session, string? prompt, GenerationRequest request, GenerationResult result)
    {
        var prefill = request.Prompt.Count / result.Prefill.TotalSeconds;
        double? decode = result.Tokens.Count < 2 ? null : (result.Tokens.Count - 1) / result.Decode.TotalSeconds;
        if (context.Output.Json)
            context.Output.WriteJson(new RunResult(
                prompt, session.Tokenizer?.DecodeContinuation(request.Prompt, result.Tokens), result.Tokens, result.FinishReason.ToString().ToLowerInvariant(), request.Prompt.Count, prefill, decode,
                [.. session.Workers.Select(worker => new RunWorker(worker.Id, worker.Description.ProcessId, worker.Address, worker.Description.Tiles.Count, worker.Description.Bytes))]));
        else
            context.Output.Note($"{request.Prompt.Count} prompt tokens at {prefill:0} tok/s, {result.Tokens.Count} generated at {decode ?? 0:0} tok/s, {session.Workers.Count} {(session.Workers.Count == 1 ? "worker" : "workers")}, {session.Store.Name}");
    }

    private sealed record RunResult(
        string? Prompt, string? Text, IReadOnlyList<int> Tokens, string FinishReason, int PromptTokens,
        double PrefillTokensPerSecond, double? DecodeTokensPerSecond, IReadOnlyList<RunWorker> Workers);

    private sealed record RunWorker(string Id, long Pid, string Address, int Tiles, long Bytes);
}
