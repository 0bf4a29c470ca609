using System.CommandLine;
using System.Text;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Tokenizer;

namespace Grok1Cluster.Cli.Options;

/// <summary>What the model goes on from: a text, a file of text, or token ids. Exactly one is given.</summary>
internal sealed class PromptOptions
{
    private const int MaxFileBytes = 64 << 20;

    private readonly Argument<string?> _prompt = new("PROMPT") { Description = "the text to go on from", Arity = ArgumentArity.ZeroOrOne };

    private readonly FormattedOption<int[]?> _tokens = TokensOption();

    private readonly Option<string?> _file = new("--prompt-file") { Description = "read the text from a file, or from stdin", HelpName = "FILE|-" };

    public static FormattedOption<int[]?> TokensOption(string description = "token ids instead of a text") => new("--tokens", TextFormats.TokenIds, null, description);

    public void AddTo(Command command)
    {
        command.Add(_prompt);
        command.Add(_tokens);
        command.Add(_file);
    }

    /// <exception cref="UsageException">None or several are given, or the file cannot be read.</exception>
    public PromptSource Read(VerbContext context)
    {
        // The library gives an empty array for a list that was not given.
        var (text, tokens, file) = (context.Get(_prompt), context.Get(_tokens) is { Length: > 0 } ids ? ids : null, context.Get(_file));
        if (new object?[] { text, tokens, file }.Count(given => given is not null) != 1)
            throw new UsageException("give one of PROMPT, --tokens and --prompt-file (see: grok1 run --help)");
        text = file is null ? text : ReadFile(file);
        // Before anything is started for it.
        return text is { Length: 0 } ? throw Empty() : new PromptSource(text, tokens);
    }

    /// <summary>There is nothing to go on from.</summary>
    public static UsageException Empty() => new("the prompt is empty");

    private static string ReadFile(string path)
    {
        try
        {
            using var stream = path == "-" ? Console.OpenStandardInput() : File.OpenRead(path);
            var buffer = new byte[81920];
            using var all = new MemoryStream();
            for (int read; (read = stream.Read(buffer)) > 0; all.Write(buffer, 0, read))
                if (all.Length + read > MaxFileBytes)
                    throw new UsageException($"--prompt-file: {path} is longer than {MaxFileBytes} bytes");
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(all.GetBuffer(), 0, (int)all.Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new UsageException($"--prompt-file: {path} cannot be read: {e.Message}", e);
        }
    }
}

/// <summary>A prompt as it was given: a text, or token ids.</summary>
internal sealed record PromptSource(string? Text, int[]? Tokens)
{
    /// <summary>Its token ids, and its text if a tokenizer can tell.</summary>
    /// <exception cref="ModelException">A text, and the model has no tokenizer.</exception>
    /// <exception cref="UsageException">There is nothing to go on from.</exception>
    public (string? Text, int[] Tokens) Tokenise(SentencePieceTokenizer? tokenizer, string model)
    {
        if (Tokens is not null)
            return (null, Tokens);
        if (tokenizer is null)
            throw new ModelException($"model {model} has no tokenizer.model, so it takes token ids only; give --tokens, or import it with its tokenizer");
        var ids = tokenizer.Encode(Text);
        return ids.Length > 0 ? (Text, ids) : throw PromptOptions.Empty();
    }
}
