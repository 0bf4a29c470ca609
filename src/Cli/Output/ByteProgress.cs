using Grok1Cluster.Model;

namespace Grok1Cluster.Cli.Output;

/// <summary>
/// Shows how far work is that moves bytes: nothing for the first 2 s, then a bar on a terminal, and elsewhere a plain
/// line every 5 s. Any thread may report.
/// </summary>
/// <param name="total">Bytes in all; null where nobody knows.</param>
/// <param name="terminalWidth">Columns of the terminal; null where <paramref name="output"/> is none.</param>
internal sealed class ByteProgress(string title, long? total, TextWriter output, Func<int>? terminalWidth, TimeProvider time) : IProgress<long>, IDisposable
{
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LineInterval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan BarInterval = TimeSpan.FromMilliseconds(100);
    private const int BarWidth = 30;

    private readonly Lock _lock = new();
    private readonly long _start = time.GetTimestamp();
    private TimeSpan _next = Quiet;
    private long _done;
    private int _barLength;

    /// <param name="value">Bytes done since the beginning.</param>
    public void Report(long value)
    {
        lock (_lock)
        {
            // Threads may report out of order.
            _done = Math.Max(_done, value);
            var elapsed = time.GetElapsedTime(_start);
            if (elapsed < _next)
                return;
            _next = elapsed + (terminalWidth is null ? LineInterval : BarInterval);
            if (terminalWidth is null)
                output.WriteLine(Line(elapsed));
            else
                Draw($"{Bar()}{Line(elapsed)}");
        }
    }

    /// <summary>Ends with a line that says how much and how long, if anything was shown.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            var elapsed = time.GetElapsedTime(_start);
            if (_next == Quiet)
                return;
            if (terminalWidth is not null)
                Draw("");
            output.WriteLine($"{title}: {ByteSize.Format(_done)} in {elapsed.TotalSeconds:0.0} s");
        }
    }

    private string Line(TimeSpan elapsed)
    {
        var share = total is > 0 and var all ? $"{100.0 * _done / all:0} % of {ByteSize.Format(all)}" : ByteSize.Format(_done);
        return $"{title}: {share}, {ByteSize.Format((long)(_done / elapsed.TotalSeconds))}/s";
    }

    private string Bar()
    {
        if (total is not > 0)
            return "";
        var filled = (int)Math.Clamp((double)_done / total.Value * BarWidth, 0, BarWidth);
        return $"[{new string('=', filled)}{new string(' ', BarWidth - filled)}] ";
    }

    private void Draw(string text)
    {
        var fitting = text[..Math.Min(text.Length, Math.Max(1, terminalWidth!() - 1))];
        output.Write($"\r{fitting.PadRight(_barLength)}{(fitting.Length == 0 ? "\r" : "")}");
        _barLength = fitting.Length;
    }
}
