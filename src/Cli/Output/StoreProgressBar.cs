using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cli.Output;

/// <summary>A <see cref="ByteProgress"/> for work on a store, which tells its size only with its first report.</summary>
internal sealed class StoreProgressBar(string title, CommandOutput output) : IProgress<StoreProgress>, IDisposable
{
    private readonly Lock _lock = new();
    private ByteProgress? _bytes;

    public void Report(StoreProgress value)
    {
        lock (_lock)
            (_bytes ??= output.Progress(title, value.Total)).Report(value.Done);
    }

    public void Dispose() => _bytes?.Dispose();
}
