using System.Text;

namespace Grok1Cluster.Grpc.Wire;

/// <summary>How a status message travels: UTF-8, with <c>%XX</c> for every byte that is not printable ASCII and for <c>%</c> itself.</summary>
internal static class PercentEncoding
{
    private const string Digits = "0123456789ABCDEF";

    /// <summary>Encodes <paramref name="text"/>, cut at a character so that at most <paramref name="maxLength"/> characters result.</summary>
    public static string Encode(string text, int maxLength)
    {
        var encoded = new StringBuilder(Math.Min(text.Length, maxLength));
        Span<byte> utf8 = stackalloc byte[4];
        var last = text.Length - 1;
        var position = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            // Outer spaces are escaped too: HTTP drops them from a header's value.
            var plain = rune.Value is > ' ' and <= '~' and not '%' || (rune.Value == ' ' && position != 0 && position != last);
            position += rune.Utf16SequenceLength;
            var bytes = utf8[..rune.EncodeToUtf8(utf8)];
            if (encoded.Length + (plain ? 1 : 3 * bytes.Length) > maxLength)
                break;
            if (plain)
                encoded.Append((char)rune.Value);
            else
                foreach (var b in bytes)
                    encoded.Append('%').Append(Digits[b >> 4]).Append(Digits[b & 15]);
        }
        return encoded.ToString();
    }

    /// <summary>Decodes what a peer sent; never fails: a bad escape stays as it is, bad UTF-8 becomes U+FFFD.</summary>
    public static string Decode(string text)
    {
        if (!text.Contains('%'))
            return text;
        var utf8 = new List<byte>(text.Length);
        for (var i = 0; i < text.Length; i++)
            if (text[i] == '%' && i + 2 < text.Length && char.IsAsciiHexDigit(text[i + 1]) && char.IsAsciiHexDigit(text[i + 2]))
            {
                utf8.Add(Convert.ToByte(text.Substring(i + 1, 2), 16));
                i += 2;
            }
            else
                utf8.AddRange(Encoding.UTF8.GetBytes(text[i].ToString()));
        return Encoding.UTF8.GetString(utf8.ToArray());
    }
}
