namespace Grok1Cluster.Model.Tokenizer;

/// <summary>
/// Encodes one text at a time: normalises it, takes out user-defined pieces, and merges what lies between them.
/// Not thread-safe: it keeps its buffers, so that encoding allocates only the ids.
/// </summary>
internal sealed class BpeEncoder(PieceVocabulary pieces, PieceTrie userDefined, TextNormalizer normalizer)
{
    private readonly BpeMerger _merger = new(pieces);
    private char[] _normalized = [];

    /// <summary>Units its buffers can hold, a measure of their size.</summary>
    public int Capacity => Math.Max(_normalized.Length, _merger.Capacity);

    /// <summary>Appends the ids of <paramref name="text"/>.</summary>
    public void Encode(ReadOnlySpan<char> text, List<int> ids)
    {
        var needed = TextNormalizer.MaxLength(text.Length);
        if (_normalized.Length < needed)
            _normalized = new char[needed];
        var normalized = _normalized.AsSpan(0, normalizer.Normalize(text, _normalized));

        var output = new PieceWriter(pieces, ids);
        var start = 0; // of the part that waits to be merged
        for (var i = 0; i < normalized.Length;)
        {
            if (userDefined.TryMatch(normalized[i..], out var id, out var length))
            {
                Merge(normalized[start..i], output);
                output.Write(id, normalized.Slice(i, length));
                start = i += length;
                continue;
            }
            if (StartsWord(normalized, i))
            {
                Merge(normalized[start..i], output);
                start = i;
            }
            i += char.IsHighSurrogate(normalized[i]) ? 2 : 1;
        }
        Merge(normalized[start..], output);
    }

    private bool StartsWord(ReadOnlySpan<char> text, int i) =>
        pieces.SpaceOnlyStartsWords && i > 0 && text[i] == PieceVocabulary.Space && text[i - 1] != PieceVocabulary.Space;

    private void Merge(ReadOnlySpan<char> part, PieceWriter output)
    {
        if (!part.IsEmpty)
            _merger.Merge(part, output);
    }
}
