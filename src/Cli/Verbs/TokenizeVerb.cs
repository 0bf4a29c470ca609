using System.CommandLine;
using System.Text;
using System.Text.Json;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Model.Tokenizer;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Text to token ids.</summary>
internal static class TokenizeVerb
{
    private sealed record Tokens(int[] Ids);

    private sealed record DecodedTokens(int[] Ids, string Decoded);

    public static Command Create()
    {
        var model = ClusterOptions.ModelOption("demo, a model, any directory with a tokenizer.model, or such a file");
        var text = new Option<string>("--text") { Description = "the text itself", HelpName = "T" };
        var file = new Option<string>("--file") { Description = "a file with the text, in UTF-8; - is stdin", HelpName = "F" };
        var lines = new Option<string>("--jsonl") { Description = "a file of lines {\"text\": ...}; each gives a line {\"ids\": [...], \"decoded\": ...}; - is stdin", HelpName = "F" };

        var verb = new Verb("tokenize", "Show the token ids of a text.",
            "grok1 tokenize --text \"My fellow Americans\"",
            "grok1 tokenize --model /data/grok-1 --file speech.txt --json",
            "grok1 tokenize --model tokenizer.model --jsonl texts.jsonl") { model, text, file, lines };
        verb.AddJson();
        verb.Validators.Add(result =>
        {
            if (new Option[] { text, file, lines }.Count(option => result.GetResult(option) is not null) != 1)
                result.AddError("give one of --text, --file and --jsonl");
        });
        verb.Runs(async (context, cancel) =>
        {
            var tokenizer = SentencePieceTokenizer.Load(context.FindTokenizer(context.Get(model)));
            if (context.Get(lines) is { } path)
                await WriteLinesAsync(context, tokenizer, path, cancel);
            else
                Write(context, tokenizer, context.Get(text) ?? await TextInput.ReadAllAsync("--file", context.Get(file)!, cancel));
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static void Write(VerbContext context, SentencePieceTokenizer tokenizer, string text)
    {
        var ids = tokenizer.Encode(text);
        if (context.Output.Json)
        {
            context.Output.WriteJson(new Tokens(ids));
            return;
        }
        context.Output.WriteLine($"ids:    {string.Join(' ', ids)}");
        context.Output.WriteLine($"pieces: {string.Join(' ', ids.Select(id => Visible(tokenizer.PieceText(id))))}");
    }

    private static async Task WriteLinesAsync(VerbContext context, SentencePieceTokenizer tokenizer, string path, CancellationToken cancel)
    {
        var number = 0;
        await foreach (var line in TextInput.ReadLinesAsync("--jsonl", path, cancel))
        {
            var ids = tokenizer.Encode(TextOf(line, $"--jsonl: line {++number} of {path}"));
            context.Output.WriteJsonLine(new DecodedTokens(ids, tokenizer.Decode(ids)));
        }
    }

    private static string TextOf(string line, string place)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            if (json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("text", out var text) && text.ValueKind == JsonValueKind.String)
                return text.GetString()!;
            throw new UsageException($"{place} is not an object with a text");
        }
        // Half a surrogate pair is reported as an invalid operation.
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new UsageException($"{place} is not JSON: {e.Message}", e);
        }
    }

    /// <summary>Pieces such as line feeds must not break the line.</summary>
    private static string Visible(string piece)
    {
        if (!piece.Any(char.IsControl))
            return piece;
        var text = new StringBuilder();
        foreach (var c in piece)
            text.Append(c switch { '\n' => "\\n", '\t' => "\\t", '\r' => "\\r", _ when char.IsControl(c) => $"\\x{(int)c:X2}", _ => c.ToString() });
        return text.ToString();
    }
}
