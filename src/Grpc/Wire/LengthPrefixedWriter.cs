using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;

namespace Grok1Cluster.Grpc.Wire;

/// <summary>Writes gRPC's length-prefixed messages straight into the buffers of a body. The caller flushes.</summary>
/// <param name="body">The bytes of the request or response.</param>
/// <param name="marshaller">Makes bytes from messages.</param>
/// <param name="maxBytes">Longest message that may be sent.</param>
internal sealed class LengthPrefixedWriter<T>(PipeWriter body, Marshaller<T> marshaller, int maxBytes) : IBufferWriter<byte>
{
    private int _left;

    /// <summary>Appends one message.</summary>
    /// <exception cref="RpcException">The message is longer than allowed; nothing was written.</exception>
    /// <exception cref="InvalidOperationException">The marshaller wrote another number of bytes than it had measured; the body is spoilt.</exception>
    public void Write(T message)
    {
        var length = marshaller.Measure(message);
        if (length > maxBytes)
            throw new RpcException(GrpcStatusCode.ResourceExhausted, $"a message of {length} bytes exceeds the limit of {maxBytes} for sent messages");
        var prefix = body.GetSpan(LengthPrefix.Bytes);
        prefix[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(prefix[1..], length);
        body.Advance(LengthPrefix.Bytes);
        _left = length;
        marshaller.Write(message, this);
        if (_left != 0)
            throw new InvalidOperationException($"the marshaller of {typeof(T).Name} measured {length} bytes but wrote {length - _left}");
    }

    void IBufferWriter<byte>.Advance(int count)
    {
        _left -= count;
        if (_left < 0)
            throw new InvalidOperationException($"the marshaller of {typeof(T).Name} wrote {-_left} bytes more than it had measured");
        body.Advance(count);
    }

    Memory<byte> IBufferWriter<byte>.GetMemory(int sizeHint) => body.GetMemory(sizeHint);

    Span<byte> IBufferWriter<byte>.GetSpan(int sizeHint) => body.GetSpan(sizeHint);
}
