using System.Runtime.CompilerServices;

namespace Grok1Cluster.Grpc;

/// <summary>The messages of a stream that the peer sends, one after the other. One read at a time.</summary>
public interface IMessageReader<out T>
{
    /// <summary>The message that the last <see cref="MoveNextAsync"/> found.</summary>
    T Current { get; }

    /// <summary>
    /// Waits for the next message; false when the peer has sent its last. On a client false means that the call ended with
    /// <see cref="GrpcStatusCode.Ok"/>. Cancelling <paramref name="cancellationToken"/> gives up this wait only: no message is lost and the call goes on.
    /// </summary>
    /// <exception cref="RpcException">On a client: the call ended with another status.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled; on a server also: the call was cancelled or its deadline has passed.</exception>
    ValueTask<bool> MoveNextAsync(CancellationToken cancellationToken);
}

/// <summary>Enumerates readers.</summary>
public static class MessageReaderExtensions
{
    /// <summary>All messages to come, for <c>await foreach</c>; fails as <see cref="IMessageReader{T}.MoveNextAsync"/> does.</summary>
    public static async IAsyncEnumerable<T> ReadAllAsync<T>(this IMessageReader<T> reader, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        while (await reader.MoveNextAsync(cancellationToken))
            yield return reader.Current;
    }
}
