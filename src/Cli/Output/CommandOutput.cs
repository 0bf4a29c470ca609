using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Grok1Cluster.Cluster.Files;
using Grok1Cluster.Cluster.Plans;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Grok1Cluster.Cli.Output;

/// <summary>Where a verb writes: results to stdout, what accompanies them to stderr. With <c>--json</c> stdout gets one JSON value and nothing else.</summary>
internal sealed class CommandOutput(TextWriter output, TextWriter error, bool json)
{
    private static readonly JsonSerializerOptions LineOptions = new(JsonSerializerDefaults.General)
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        // The reader is a program or a terminal, never a web page: text stays readable.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static readonly JsonSerializerOptions JsonOptions = new(LineOptions) { WriteIndented = true };

    /// <summary>Reads what <see cref="WriteJson{T}(T)"/> wrote.</summary>
    /// <exception cref="FormatException">It is no such JSON; the message says which member is wrong.</exception>
    public static T? ReadJson<T>(ReadOnlySpan<byte> utf8)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(utf8, LineOptions);
        }
        catch (JsonException e)
        {
            throw new FormatException(JsonShape.Explain<T>(utf8, LineOptions, e), e);
        }
    }

    private const int RedirectedWidth = 160;

    /// <summary>No terminal is wider.</summary>
    private const int WidestTable = 1000;

    /// <summary>Whether the result is asked for as JSON.</summary>
    public bool Json { get; } = json;

    /// <summary>The result as JSON, property names in snake_case. Once a command.</summary>
    public void WriteJson<T>(T value) => output.WriteLine(JsonSerializer.Serialize(value, JsonOptions));

    /// <summary>One of many results, as JSON in a line of its own.</summary>
    public void WriteJsonLine<T>(T value) => output.WriteLine(JsonSerializer.Serialize(value, LineOptions));

    /// <summary>A plan in its public form, the same as in a plan file.</summary>
    public void WriteJson(Plan plan) => output.Write(Encoding.UTF8.GetString(PlanJson.Serialize(plan)));

    /// <summary>Text for people; to stderr where stdout belongs to JSON.</summary>
    public void Write(string text) => ForPeople.Write(text);

    /// <inheritdoc cref="Write(string)"/>
    public void WriteLine(string text) => ForPeople.WriteLine(text);

    /// <summary>A table for people; as wide as it needs to be, and without colours, where no terminal limits it.</summary>
    public void Write(IRenderable renderable)
    {
        var redirected = Json ? Console.IsErrorRedirected : Console.IsOutputRedirected;
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(ForPeople), Ansi = redirected ? AnsiSupport.No : AnsiSupport.Detect });
        if (redirected)
            console.Profile.Width = RedirectedWidth;
        // A table that is too wide would be broken within its numbers: better that the terminal wraps its lines.
        if (renderable is Table)
            console.Profile.Width = Math.Max(console.Profile.Width, renderable.Measure(RenderOptions.Create(console), WidestTable).Max);
        console.Write(renderable);
    }

    /// <summary>The text that a generation goes on from, on a terminal only, told apart by its colour.</summary>
    public void WritePrompt(string text)
    {
        if (!Console.IsOutputRedirected)
            output.Write(Styled(string.Concat(text.Where(c => !char.IsControl(c) || c is '\n' or '\t')), "2"));
    }

    /// <summary>A piece of a text, shown at once.</summary>
    public void Stream(string text)
    {
        output.Write(text);
        output.Flush();
    }

    /// <summary>A line about what is going on, to stderr.</summary>
    public void Note(string line) => error.WriteLine(line);

    /// <summary>A line about something dangerous, to stderr; red on a terminal.</summary>
    public void Warn(string line) => error.WriteLine(Console.IsErrorRedirected ? line : Styled(line, "31"));

    /// <summary>Follows work of a known or unknown size, in bytes, on stderr; see <see cref="ByteProgress"/>.</summary>
    public ByteProgress Progress(string title, long? totalBytes) =>
        new(title, totalBytes, error, Console.IsErrorRedirected ? null : () => Console.WindowWidth, TimeProvider.System);

    /// <summary>Says on stderr which part of a long work is under way; see <see cref="ProgressLine"/>.</summary>
    public ProgressLine ProgressLine() => new(error, Console.IsErrorRedirected ? null : () => Console.WindowWidth);

    /// <summary>Text in a style of the terminal, unless the user wants none (no-color.org) or the terminal has none.</summary>
    /// <param name="style">A number of SGR (ECMA-48).</param>
    /// <param name="variable">What an environment variable has.</param>
    internal static string Styled(string text, string style, Func<string, string?> variable) =>
        variable("NO_COLOR") is { Length: > 0 } || variable("TERM") == "dumb" ? text : $"\e[{style}m{text}\e[0m";

    private static string Styled(string text, string style) => Styled(text, style, Environment.GetEnvironmentVariable);

    private TextWriter ForPeople => Json ? error : output;
}
