using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Model;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>
/// Perplexity of a text: the whole file tokenised once and cut in windows that do not overlap, a last short one included;
/// the first token of each window has no context and is not scored.
/// </summary>
internal static class EvalVerb
{
    public static Command Create()
    {
        var file = new Option<string>("--file") { Description = "the text, UTF-8; - is stdin", HelpName = "FILE", Required = true };
        var window = new FormattedOption<int>("--context", TextFormats.Count(2), 256, "tokens of a window");
        var cluster = new ClusterOptions(defaultWorkers: 0);
        var verb = new Verb("eval", "Perplexity of a text file.",
            "grok1 eval --file heldout.txt",
            "grok1 eval --file heldout.txt --precision exact --workers 4 --plan sliced --json") { file, window };
        cluster.AddTo(verb);
        verb.AddJson();
        verb.Runs(async (context, cancellation) =>
        {
            var text = await TextInput.ReadAllAsync("--file", context.Get(file)!, cancellation);
            int[] tokens = [];
            var options = ClusterStarter.Options(context, cluster.Read(context), cancellation) with
            {
                Opened = (store, tokenizer) =>
                {
                    tokens = (tokenizer ?? throw new ModelException($"model {store.Name} has no tokenizer.model, so it cannot read a text; import it with its tokenizer")).Encode(text);
                    if (tokens.Length < 2)
                        throw new UsageException("--file: the text has fewer than two tokens, so nothing can be scored");
                    if (context.Get(window) is var asked && asked > store.Config.MaxSequenceLength)
                        context.Output.Note($"windows of {store.Config.MaxSequenceLength} tokens, not {asked}: model {store.Name} takes no more");
                },
            };
            await using var session = await ClusterStarter.StartAsync(context, options, cancellation);
            var result = await Task.Run(() => Score(context, session, text, tokens, context.Get(window), cancellation), cancellation);
            if (context.Output.Json)
                context.Output.WriteJson(result);
            else
                context.Output.WriteLine($"{result.Tokens} tokens, {result.Scored} scored, {result.NllPerToken:0.00000} nats a token, perplexity {result.Perplexity:0.000}");
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static EvalResult Score(VerbContext context, ClusterSession session, string text, int[] tokens, int window, CancellationToken cancellation)
    {
        var size = Math.Min(window, session.Store.Config.MaxSequenceLength);
        var scorer = session.CreateScorer();
        var (total, scored) = (0.0, 0);
        using var progress = context.Output.Progress("eval", text.Length);
        foreach (var part in tokens.Chunk(size))
        {
            scorer.Score(part, (position, logits) =>
            {
                if (position + 1 >= part.Length)
                    return;
                total += LogitMath.NegativeLogLikelihood(logits, part[position + 1]);
                scored++;
            }, cancellation);
            progress.Report((long)text.Length * scored / tokens.Length);
        }
        return new EvalResult(tokens.Length, scored, total / scored, Math.Exp(total / scored));
    }

    private sealed record EvalResult(int Tokens, int Scored, double NllPerToken, double Perplexity);
}
