using System.Buffers;
using System.Text;

namespace Grok1Cluster.Grpc.Tests.Support;

/// <summary>Messages that are plain bytes or text: the simplest hand-written marshallers.</summary>
public static class Raw
{
    public static Marshaller<byte[]> Bytes { get; } = new(static m => m.Length, static (m, to) => to.Write(m), static m => m.ToArray());

    public static Marshaller<string> Text { get; } = new(
        Encoding.UTF8.GetByteCount,
        static (m, to) => Encoding.UTF8.GetBytes(m, to),
        static m => Encoding.UTF8.GetString(m));

    public static GrpcMethod<byte[], byte[]> BytesMethod(string name) => new("test.Raw", name, Bytes, Bytes);

    public static GrpcMethod<string, string> TextMethod(string name) => new("test.Raw", name, Text, Text);

    /// <summary>Bytes that differ from one place to the next, so that a lost or doubled piece shows.</summary>
    public static byte[] Pattern(int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }
}
