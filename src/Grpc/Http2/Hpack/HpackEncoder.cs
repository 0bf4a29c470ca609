using System.Text;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2.Hpack;

/// <summary>
/// Writes header blocks of static entries and plain literals. Our calls are few and long, so a dynamic table would save nothing;
/// without one, blocks do not depend on each other.
/// </summary>
internal static class HpackEncoder
{
    private const byte Indexed = 0x80, Literal = 0x00, TableSize = 0x20;

    /// <summary>Tells the peer that no dynamic table is used; stands before the first block of a connection.</summary>
    public static void AppendEmptyTable(ByteBuffer to) => HpackInteger.Write(to, TableSize, 5, 0);

    /// <summary>Appends one header.</summary>
    public static void Append(ByteBuffer to, string name, string value)
    {
        if (StaticTable.IndexOf(name, value) is var whole and > 0)
        {
            HpackInteger.Write(to, Indexed, 7, whole);
            return;
        }
        var index = StaticTable.IndexOf(name);
        HpackInteger.Write(to, Literal, 4, index);
        if (index == 0)
            AppendText(to, name);
        AppendText(to, value);
    }

    /// <summary>Appends all of <paramref name="headers"/>.</summary>
    public static void Append(ByteBuffer to, HeaderList headers)
    {
        foreach (var (name, value) in headers)
            Append(to, name, value);
    }

    private static void AppendText(ByteBuffer to, string text)
    {
        HpackInteger.Write(to, 0, 7, text.Length);
        Encoding.Latin1.GetBytes(text, to.Take(text.Length));
    }
}
