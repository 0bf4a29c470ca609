using System.Text;

namespace Grok1Cluster.TestKit.Fuzzing;

/// <summary>
/// Spoils inputs: what it makes is often almost sound, so that it gets deep into a reader. The same seed gives the same inputs. Knows
/// bytes and, for text, numbers and brackets; no format.
/// </summary>
/// <param name="seed">Decides everything.</param>
/// <param name="corpus">Inputs to start from; at least one.</param>
public sealed class Mutator(int seed, IReadOnlyList<byte[]> corpus)
{
    private const int MaxGrowth = 4096;
    private const int MaxEdits = 6;

    private static readonly byte[] Edges = [0, 1, 0x7f, 0x80, 0xfe, 0xff, (byte)'"', (byte)'[', (byte)'{', (byte)'\\', (byte)'0', (byte)'-'];

    /// <summary>Lengths and numbers that readers get wrong: as varints, big- and little-endian, and text.</summary>
    private static readonly byte[][] Tokens =
    [
        [0xff, 0xff, 0xff, 0xff, 0x07], [0xff, 0xff, 0xff, 0xff, 0x0f], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
        [0x7f, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0x7f], [0, 0, 0, 0x80], [0, 0, 0, 0, 0, 0, 0, 0x80], [0, 0, 0, 0x40], [0xff, 0xff, 0xff],
        .. new[] { "-1", "99999999999999999999", "2147483648", "-2147483649", "1e999", "1e-999", "0.5", "null", "true", "\"\"", "[]", "{}", "\\u0000", "\\ud800", "\"x\":", "NaN" }.Select(Encoding.UTF8.GetBytes),
    ];

    private readonly Random _random = new(seed);

    /// <summary>The next input.</summary>
    public byte[] Next()
    {
        var source = corpus[_random.Next(corpus.Count)];
        var bytes = new List<byte>(source);
        for (var edits = _random.Next(1, MaxEdits + 1); edits > 0; edits--)
            Edit(bytes);
        var most = source.Length + MaxGrowth;
        return [.. bytes.Take(most)];
    }

    private void Edit(List<byte> bytes)
    {
        var at = _random.Next(bytes.Count + 1);
        var run = Math.Min(_random.Next(1, 1 + (_random.Next(4) == 0 ? 200 : 8)), bytes.Count - at);
        switch (_random.Next(10))
        {
            case 0 or 1 when at < bytes.Count:
                bytes[at] ^= (byte)(1 << _random.Next(8));
                break;
            case 2 when at < bytes.Count:
                bytes[at] = _random.Next(2) == 0 ? Edges[_random.Next(Edges.Length)] : (byte)_random.Next(256);
                break;
            case 3:
                bytes.RemoveRange(at, run);
                break;
            case 4:
                bytes.InsertRange(at, Tokens[_random.Next(Tokens.Length)]);
                break;
            case 5:
                Replace(bytes, at, Tokens[_random.Next(Tokens.Length)]);
                break;
            case 6:
                bytes.InsertRange(at, bytes.GetRange(at, run));
                break;
            case 7:
                bytes.InsertRange(at, Enumerable.Repeat(Edges[_random.Next(Edges.Length)], _random.Next(1, _random.Next(8) == 0 ? 2000 : 20)));
                break;
            case 8 when _random.Next(3) == 0:
                bytes.RemoveRange(at, bytes.Count - at);
                break;
            default:
                Splice(bytes, at);
                break;
        }
    }

    /// <summary>A number of a text gives way as a whole; elsewhere as many bytes as come.</summary>
    private static void Replace(List<byte> bytes, int at, byte[] token)
    {
        var end = at;
        while (end < bytes.Count && char.IsAsciiDigit((char)bytes[end]))
            end++;
        bytes.RemoveRange(at, end > at ? end - at : Math.Min(token.Length, bytes.Count - at));
        bytes.InsertRange(at, token);
    }

    /// <summary>Goes on as another input does.</summary>
    private void Splice(List<byte> bytes, int at)
    {
        var other = corpus[_random.Next(corpus.Count)];
        var from = _random.Next(other.Length + 1);
        var count = Math.Min(_random.Next(1, 400), other.Length - from);
        bytes.RemoveRange(at, Math.Min(_random.Next(2) * count, bytes.Count - at));
        bytes.InsertRange(at, other.AsSpan(from, count).ToArray());
    }
}
