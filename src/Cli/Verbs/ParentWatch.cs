namespace Grok1Cluster.Cli.Verbs;

/// <summary>Watches the standard input that a parent holds open for as long as it lives, whatever this process does meanwhile.</summary>
internal sealed class ParentWatch
{
    private readonly CancellationTokenSource _gone = new();

    private ParentWatch() { }

    /// <summary>Cancelled when the parent closed its end, or died.</summary>
    public CancellationToken Gone => _gone.Token;

    /// <summary>Begins to watch.</summary>
    public static ParentWatch Start()
    {
        var watch = new ParentWatch();
        // A thread of its own: those of the pool may all be busy with weights. It ends with the input or with the process.
        new Thread(watch.Run) { IsBackground = true, Name = "parent" }.Start();
        return watch;
    }

    private void Run()
    {
        using (var input = Console.OpenStandardInput())
        {
            Span<byte> buffer = stackalloc byte[64];
            while (input.Read(buffer) > 0)
            {
            }
        }
        _gone.Cancel();
    }
}
