using System.Buffers;

namespace Grok1Cluster.Model.Tokenizer;

/// <summary>
/// What SentencePiece's identity normaliser (<c>normalizer.cc</c>, <c>Normalizer::Normalize</c>) does to a text before
/// pieces are looked up: only spaces change.
/// </summary>
internal sealed class TextNormalizer(SentencePieceModel model)
{
    private static readonly SearchValues<char> Surrogates = SearchValues.Create([.. Enumerable.Range(0xD800, 0x800).Select(unit => (char)unit)]);

    private readonly char _space = model.EscapeWhitespaces ? PieceVocabulary.Space : ' ';

    /// <summary>The most units that a text of this length can become.</summary>
    public static int MaxLength(int textLength) => checked(textLength + 1);

    /// <summary>
    /// Writes the normalised text. A surrogate without its other half cannot be written in UTF-8 and becomes U+FFFD.
    /// </summary>
    /// <param name="destination">At least <see cref="MaxLength"/> units; must not overlap <paramref name="text"/>.</param>
    /// <returns>The units written.</returns>
    public int Normalize(ReadOnlySpan<char> text, Span<char> destination)
    {
        if (model.RemoveExtraWhitespaces)
            text = text.TrimStart(' ');
        if (text.IsEmpty)
            return 0;

        var prefix = 0;
        if (model.AddDummyPrefix)
            destination[prefix++] = _space;
        var body = destination[prefix..];
        var written = model.RemoveExtraWhitespaces ? CopyWithSingleSpaces(text, body) : CopyAll(text, body);
        ReplaceLoneSurrogates(body[..written]);

        var whole = destination[..(prefix + written)];
        return model.RemoveExtraWhitespaces ? whole.TrimEnd(_space).Length : whole.Length;
    }

    private int CopyAll(ReadOnlySpan<char> text, Span<char> destination)
    {
        text.Replace(destination, ' ', _space);
        return text.Length;
    }

    private int CopyWithSingleSpaces(ReadOnlySpan<char> text, Span<char> destination)
    {
        var written = 0;
        var afterSpace = true;
        foreach (var unit in text)
        {
            if (unit != ' ')
                destination[written++] = unit;
            else if (!afterSpace)
                destination[written++] = _space;
            afterSpace = unit == ' ';
        }
        return written;
    }

    private static void ReplaceLoneSurrogates(Span<char> text)
    {
        for (var i = 0; text[i..].IndexOfAny(Surrogates) is >= 0 and var offset;)
        {
            i += offset;
            if (i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]))
                i += 2;
            else
                text[i++] = '\uFFFD';
        }
    }
}
