namespace Grok1Cluster.Grpc;

/// <summary>Sends the messages of a stream to the peer. One write at a time.</summary>
public interface IMessageWriter<in T>
{
    /// <summary>
    /// Sends a message and waits until flow control has let it go, so that a slow peer slows the sender. The message is serialised
    /// before the call returns to its awaiter and may be changed after. Cancelling <paramref name="cancellationToken"/> ends the
    /// whole call: half a message cannot be taken back.
    /// </summary>
    /// <exception cref="RpcException">The message exceeds the size limit; on a client also: the call has ended.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; on a server also: the call was cancelled or its deadline has passed.</exception>
    /// <exception cref="InvalidOperationException">Another write is under way, or this side has ended its stream.</exception>
    ValueTask WriteAsync(T message, CancellationToken cancellationToken);
}
