using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>One forward pass over token ids: what the model thinks of each, and which experts each took.</summary>
internal static class LogitsVerb
{
    public static Command Create()
    {
        var tokens = PromptOptions.TokensOption("token ids to score");
        tokens.Required = true;
        var cluster = new ClusterOptions(defaultWorkers: 0);
        var verb = new Verb("logits", "One forward pass: the best next token of every position, the last logits, the experts taken.",
            "grok1 logits --tokens 5,17,300 --json",
            "grok1 logits --model tests/data/tiny-a --tokens 144 --precision exact --workers 3") { tokens };
        cluster.AddTo(verb);
        verb.AddJson();
        verb.Runs(async (context, cancellation) =>
        {
            var ids = context.Get(tokens)!;
            var options = ClusterStarter.Options(context, cluster.Read(context), cancellation) with { Opened = (store, _) => PromptRules.Check(ids, store.Config, toGenerate: 0) };
            await using var session = await ClusterStarter.StartAsync(context, options, cancellation);
            var scorer = session.CreateScorer();
            var config = session.Store.Config;
            var experts = Enumerable.Range(0, config.LayerCount).Select(_ => new List<int[]>()).ToArray();
            session.Forward.Routed = (layer, chosen) => experts[layer].AddRange(chosen.ToArray().Chunk(config.ExpertsPerToken));
            var (argmax, nll) = (new List<int>(), new List<double>());
            float[] last = [];
            await Task.Run(() => scorer.Score(ids, (position, logits) =>
            {
                argmax.Add(LogitMath.ArgMax(logits));
                if (position + 1 < ids.Length)
                    nll.Add(LogitMath.NegativeLogLikelihood(logits, ids[position + 1]));
                else
                    last = logits.ToArray();
            }, cancellation), cancellation);
            var result = new LogitsResult(argmax, last, nll, experts);
            if (context.Output.Json)
                context.Output.WriteJson(result);
            else
                Print(context, ids, result);
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static void Print(VerbContext context, int[] ids, LogitsResult result)
    {
        for (var i = 0; i < ids.Length; i++)
            context.Output.WriteLine($"{ids[i],7} -> {result.Argmax[i],7}  {(i + 1 < ids.Length ? $"nll of the next {result.Nll[i]:0.0000}" : "")}");
        var best = result.LastLogits.Select((logit, token) => (logit, token)).OrderByDescending(pair => pair.logit).Take(5);
        context.Output.WriteLine($"last logits, best five: {string.Join(", ", best.Select(pair => $"{pair.token} {pair.logit:0.0000}"))}");
    }

    private sealed record LogitsResult(IReadOnlyList<int> Argmax, IReadOnlyList<float> LastLogits, IReadOnlyList<double> Nll, IReadOnlyList<IReadOnlyList<int[]>> Experts);
}
