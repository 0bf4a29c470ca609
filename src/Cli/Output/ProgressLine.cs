namespace Grok1Cluster.Cli.Output;

/// <summary>
/// Says what is under way: a line that is overwritten on a terminal; elsewhere a line of its own when the work moves on to
/// the next part, what stands before the first colon.
/// </summary>
/// <param name="output">stderr.</param>
/// <param name="terminalWidth">Columns of the terminal; null where <paramref name="output"/> is none.</param>
internal sealed class ProgressLine(TextWriter output, Func<int>? terminalWidth) : IDisposable
{
    private string _part = "";
    private int _length;

    /// <param name="text">What is under way, as <c>part: detail</c>.</param>
    public void Report(string text)
    {
        if (terminalWidth is not null)
        {
            Draw(text);
            return;
        }
        var part = text.Split(':')[0];
        if (part != _part)
            output.WriteLine(part);
        _part = part;
    }

    /// <summary>Takes the line off the terminal.</summary>
    public void Dispose()
    {
        if (terminalWidth is not null && _length > 0)
            Draw("");
    }

    private void Draw(string text)
    {
        var fitting = text[..Math.Min(text.Length, Math.Max(1, terminalWidth!() - 1))];
        output.Write($"\r{fitting.PadRight(_length)}{(fitting.Length == 0 ? "\r" : "")}");
        _length = fitting.Length;
    }
}
