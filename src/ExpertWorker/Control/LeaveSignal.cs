namespace Grok1Cluster.ExpertWorker.Control;

/// <summary>Whether this worker was told to end. Thread-safe.</summary>
internal sealed class LeaveSignal
{
    private readonly TaskCompletionSource _given = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when it was told.</summary>
    public Task Given => _given.Task;

    public bool IsGiven => _given.Task.IsCompleted;

    public void Give() => _given.TrySetResult();
}
