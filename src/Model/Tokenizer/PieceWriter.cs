using System.Text;

namespace Grok1Cluster.Model.Tokenizer;

/// <summary>Appends the ids of pieces to a list; a text without a piece becomes its bytes, or one unknown id a run.</summary>
internal sealed class PieceWriter(PieceVocabulary pieces, List<int> ids)
{
    private bool _afterUnknown;

    /// <param name="id">The piece, or <see cref="PieceVocabulary.UnknownId"/>.</param>
    /// <param name="text">The text it stands for; one character if unknown.</param>
    public void Write(int id, ReadOnlySpan<char> text)
    {
        var unknown = id == pieces.UnknownId;
        if (unknown && pieces.HasByteFallback)
            WriteBytes(text);
        else if (!unknown || !_afterUnknown)
            ids.Add(id);
        _afterUnknown = unknown;
    }

    private void WriteBytes(ReadOnlySpan<char> character)
    {
        Span<byte> utf8 = stackalloc byte[4];
        foreach (var value in utf8[..Encoding.UTF8.GetBytes(character, utf8)])
            ids.Add(pieces.ByteId(value));
    }
}
