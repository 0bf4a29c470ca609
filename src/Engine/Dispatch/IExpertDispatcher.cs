namespace Grok1Cluster.Engine.Dispatch;

/// <summary>
/// Sends routed tokens to whoever holds the experts and adds what comes back. The two halves are apart so that the caller
/// may compute one batch while another is away. One caller at a time.
/// </summary>
public interface IExpertDispatcher : IAsyncDisposable
{
    /// <summary>Sends a batch. It must not change until <see cref="Combine"/> returned. Batches of different slots may be away at the same time.</summary>
    void Dispatch(ExpertBatch batch, CancellationToken cancel);

    /// <summary>Waits for every reply of a batch and adds the bundles in plan order into its sum.</summary>
    /// <exception cref="DispatchException">A bundle could not be computed.</exception>
    void Combine(ExpertBatch batch, CancellationToken cancel);

    /// <summary>Gives up every batch that is away: the step ended with an error.</summary>
    void Abandon();
}

/// <summary>A layer could not be computed because of a worker. The message says which, what happened, and what to do.</summary>
public sealed class DispatchException(string message, Exception? inner = null) : Exception(message, inner);
