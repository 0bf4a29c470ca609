namespace Grok1Cluster.Coordinator.Logging;

/// <summary>Something that a person who watches the cluster wants to know.</summary>
/// <param name="Time">When.</param>
/// <param name="Level">information, warning or error.</param>
/// <param name="Text">What; never a prompt or a generated text.</param>
public sealed record ClusterEvent(DateTimeOffset Time, string Level, string Text);

/// <summary>The latest events. Thread-safe.</summary>
public sealed class EventLog
{
    private const int Kept = 100;

    private readonly Queue<ClusterEvent> _events = new();

    /// <summary>The latest first.</summary>
    public IReadOnlyList<ClusterEvent> Latest
    {
        get
        {
            lock (_events)
                return [.. _events.Reverse()];
        }
    }

    public void Add(ClusterEvent entry)
    {
        lock (_events)
        {
            if (_events.Count == Kept)
                _events.Dequeue();
            _events.Enqueue(entry);
        }
    }
}
