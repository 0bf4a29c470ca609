using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;

namespace Grok1Cluster.Grpc.Wire;

/// <summary>Cuts a body into gRPC's length-prefixed messages: one byte compressed flag, four bytes big-endian length, the message.</summary>
/// <param name="body">The bytes of the request or response.</param>
/// <param name="marshaller">Makes messages from bytes.</param>
/// <param name="maxBytes">Longest message accepted, checked before any of it is buffered.</param>
/// <param name="encoding">The peer's <c>grpc-encoding</c>, for the error about a compressed message; only identity can be read.</param>
internal sealed class LengthPrefixedReader<T>(PipeReader body, Marshaller<T> marshaller, int maxBytes, string? encoding)
{
    private int _needed;

    /// <summary>The message last read.</summary>
    public T Current { get; private set; } = default!;

    /// <summary>Reads the next message; false at the end of the body.</summary>
    /// <exception cref="RpcException">The body ends inside a message, or a message is too long, compressed or malformed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled by the token or by <see cref="PipeReader.CancelPendingRead"/>.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<bool> ReadAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            // A wait that was given up is begun anew with whatever is there.
            var needed = _needed;
            _needed = 0;
            var result = await (needed == 0 ? body.ReadAsync(cancellationToken) : body.ReadAtLeastAsync(needed, cancellationToken)).ConfigureAwait(false);
            var consumed = result.Buffer.Start;
            var examined = result.Buffer.End;
            try
            {
                if (result.IsCanceled)
                    throw new OperationCanceledException("the call was ended while a message was awaited");
                if (TryRead(result.Buffer, ref consumed))
                {
                    examined = consumed;
                    return true;
                }
                if (result.IsCompleted)
                    return result.Buffer.IsEmpty ? false : throw new RpcException(GrpcStatusCode.Internal, "the stream ended inside a message");
            }
            finally
            {
                body.AdvanceTo(consumed, examined);
            }
        }
    }

    private bool TryRead(ReadOnlySequence<byte> buffer, ref SequencePosition consumed)
    {
        if (buffer.Length < LengthPrefix.Bytes)
            return false;
        Span<byte> prefix = stackalloc byte[LengthPrefix.Bytes];
        buffer.Slice(0, LengthPrefix.Bytes).CopyTo(prefix);
        CheckFlag(prefix[0]);
        var length = BinaryPrimitives.ReadUInt32BigEndian(prefix[1..]);
        if (length > maxBytes)
            throw new RpcException(GrpcStatusCode.ResourceExhausted, $"a message of {length} bytes exceeds the limit of {maxBytes} for received messages");
        if (buffer.Length - LengthPrefix.Bytes < length)
        {
            // Woken for every piece of a large message, the reader would spend its time on waking. Over a limit near 2 GiB it is.
            _needed = (int)Math.Min(LengthPrefix.Bytes + (long)length, int.MaxValue);
            return false;
        }
        var message = buffer.Slice(LengthPrefix.Bytes, length);
        try
        {
            Current = marshaller.Read(message);
        }
        catch (Exception fault) when (fault is not RpcException)
        {
            throw new RpcException(GrpcStatusCode.Internal, $"{length} bytes received are no valid {typeof(T).Name}: {fault.Message}");
        }
        consumed = message.End;
        return true;
    }

    private void CheckFlag(byte flag)
    {
        if (flag == 0)
            return;
        if (flag == 1 && encoding is not (null or HeaderNames.Identity))
            throw new RpcException(GrpcStatusCode.Unimplemented, $"a message is compressed by '{encoding}'; only {HeaderNames.Identity} is supported");
        throw new RpcException(GrpcStatusCode.Internal, flag == 1 ? "a message is flagged as compressed, but the call names no encoding" : $"a message starts with the flag {flag} instead of 0 or 1");
    }
}
