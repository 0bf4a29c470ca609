using System.Buffers;
using System.Text;

namespace Grok1Cluster.Model.Tokenizer;

/// <summary>
/// Turns ids into text one at a time, as SentencePiece's <c>SentencePieceProcessor::Decode</c> does for all of them:
/// the strings returned, joined, are exactly <see cref="SentencePieceTokenizer.Decode"/> of the same ids. No string
/// starts or ends inside a character: bytes wait until theirs is complete. A byte that cannot belong to a UTF-8
/// character becomes U+FFFD, each byte its own, as soon as a later byte, a piece that is not a byte (also a control
/// piece), or <see cref="Flush"/> settles that. Constant time for an id. One sequence, one thread.
/// </summary>
public sealed class IncrementalDecoder
{
    private readonly SentencePieceTokenizer _tokenizer;

    /// <summary>Bytes of a character that may still become complete.</summary>
    private readonly byte[] _pending = new byte[4];

    private int _pendingCount;

    /// <summary>The next piece may still lose the space that encoding put before the text.</summary>
    private bool _atStart = true;

    internal IncrementalDecoder(SentencePieceTokenizer tokenizer) => _tokenizer = tokenizer;

    /// <summary>The text that became certain with this id; often one word, empty for control pieces and inside a character.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has no such id; nothing has changed.</exception>
    public string Append(int id)
    {
        if (_tokenizer.TryGetByte(id, out var value))
        {
            _pending[_pendingCount++] = value;
            return TakeBytes(complete: false);
        }
        var settled = TakeBytes(complete: true);
        return settled + _tokenizer.Surface(id, ref _atStart);
    }

    /// <summary>The end of the text: what still waited for its character to be completed, as U+FFFD.</summary>
    public string Flush() => TakeBytes(complete: true);

    private string TakeBytes(bool complete)
    {
        if (_pendingCount == 0)
            return "";
        Span<char> text = stackalloc char[2 * _pending.Length];
        var written = 0;
        while (_pendingCount > 0)
        {
            var status = Rune.DecodeFromUtf8(_pending.AsSpan(0, _pendingCount), out var rune, out var consumed);
            if (status == OperationStatus.NeedMoreData && !complete)
                break;
            if (status != OperationStatus.Done)
                consumed = 1;
            written += rune.EncodeToUtf16(text[written..]);
            _pendingCount -= consumed;
            _pending.AsSpan(consumed, _pendingCount).CopyTo(_pending);
        }
        _atStart &= written == 0;
        return new string(text[..written]);
    }
}
