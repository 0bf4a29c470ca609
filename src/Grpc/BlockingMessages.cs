using System.Diagnostics;

namespace Grok1Cluster.Grpc;

/// <summary>
/// Reads a stream from a thread of its own, without tasks and without allocation: the thread spins for as long as it is told to,
/// then sleeps. Best with <see cref="MessageScheduling.Inline"/>, where the connection's thread wakes it directly. One read at a time.
/// </summary>
/// <param name="reader">The messages; to be read by this object only.</param>
public sealed class BlockingMessageReader<T>(IMessageReader<T> reader)
{
    // Spinning is up to the caller.
    private readonly ManualResetEventSlim _arrived = new(false, spinCount: 0);
    private Action? _wake;

    /// <summary>The message that the last <see cref="MoveNext"/> found.</summary>
    public T Current => reader.Current;

    /// <summary>Waits for the next message, as <see cref="IMessageReader{T}.MoveNextAsync"/> does and with the same results.</summary>
    /// <param name="spin">How long to keep the core busy before sleeping; zero sleeps at once.</param>
    /// <param name="cancellationToken">Gives up this wait only.</param>
    public bool MoveNext(TimeSpan spin, CancellationToken cancellationToken)
    {
        var next = reader.MoveNextAsync(cancellationToken).ConfigureAwait(false).GetAwaiter();
        if (!next.IsCompleted && spin > TimeSpan.Zero)
            for (var start = Stopwatch.GetTimestamp(); !next.IsCompleted && Stopwatch.GetElapsedTime(start) < spin;)
                Thread.SpinWait(20);
        if (!next.IsCompleted)
        {
            next.UnsafeOnCompleted(_wake ??= _arrived.Set);
            _arrived.Wait(CancellationToken.None);
            _arrived.Reset();
        }
        return next.GetResult();
    }
}

/// <summary>Writes from a thread that may block.</summary>
public static class BlockingMessageWriter
{
    /// <summary>Sends a message as <see cref="IMessageWriter{T}.WriteAsync"/> does; returns at once where the system takes it, and blocks where flow control holds it.</summary>
    public static void Write<T>(this IMessageWriter<T> writer, T message, CancellationToken cancellationToken)
    {
        var write = writer.WriteAsync(message, cancellationToken);
        if (write.IsCompleted)
            write.GetAwaiter().GetResult();
        else
            write.AsTask().GetAwaiter().GetResult();
    }
}
