using System.Threading.Channels;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>Says that something changed: to those who wait, and, one at a time, to a handler. Changes may come as one.</summary>
internal sealed class ChangeSignal : IAsyncDisposable
{
    private readonly Channel<bool> _changes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Lock _gate = new();
    private readonly Task _raising;
    private TaskCompletionSource _next = NewSource();

    /// <param name="handler">Called after changes, by one thread at a time.</param>
    public ChangeSignal(Func<Task> handler) => _raising = Task.Run(() => RaiseAsync(handler));

    /// <summary>Completes at the next change. To be had before one looks at what may change.</summary>
    public Task Next
    {
        get
        {
            lock (_gate)
                return _next.Task;
        }
    }

    public void Set()
    {
        TaskCompletionSource changed;
        lock (_gate)
            (changed, _next) = (_next, NewSource());
        changed.SetResult();
        _changes.Writer.TryWrite(true);
    }

    public async ValueTask DisposeAsync()
    {
        _changes.Writer.TryComplete();
        await _raising;
    }

    private async Task RaiseAsync(Func<Task> handler)
    {
        await foreach (var _ in _changes.Reader.ReadAllAsync())
            await handler();
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
