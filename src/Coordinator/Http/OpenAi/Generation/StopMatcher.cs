using Grok1Cluster.Engine.Generation;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Generation;

/// <summary>A token with the text that it added.</summary>
internal readonly record struct TokenText(GeneratedToken Token, string Text);

/// <summary>
/// Cuts a text before the first stop string, which may lie across tokens: a token is let go as soon as no stop string can
/// begin in its text. Tokens that begin at or behind the cut are dropped.
/// </summary>
internal sealed class StopMatcher(IReadOnlyList<string> stops)
{
    private readonly Queue<TokenText> _held = new();

    /// <summary>The text of the held tokens, and of a flush.</summary>
    private string _text = "";

    /// <summary>Whether a stop string was found; nothing may be added after it.</summary>
    public bool Stopped { get; private set; }

    /// <summary>Adds a token and gives those that are certain.</summary>
    /// <param name="mayStop">Whether a stop string counts already: not before the least number of tokens.</param>
    public IEnumerable<TokenText> Add(TokenText token, bool mayStop)
    {
        _held.Enqueue(token);
        _text += token.Text;
        if (mayStop && Find() is { } cut)
        {
            Stopped = true;
            return ReleaseBefore(cut);
        }
        return Release(mayStop ? _text.Length - PossibleStart() : _text.Length);
    }

    /// <summary>The end of the text: the rest of the tokens, and text that belongs to none.</summary>
    /// <param name="flushed">What the decoder held back.</param>
    public (IEnumerable<TokenText> Tokens, string Remaining) End(string flushed)
    {
        _text += flushed;
        if (Find() is { } cut)
        {
            Stopped = true;
            var before = ReleaseBefore(cut);
            return (before, _text[..(cut - before.Sum(token => token.Text.Length))]);
        }
        var tokens = Release(_text.Length);
        return (tokens, _text);
    }

    /// <summary>Where the first stop string begins.</summary>
    private int? Find()
    {
        int? first = null;
        foreach (var stop in stops)
            if (_text.IndexOf(stop, StringComparison.Ordinal) is >= 0 and var at && at < (first ?? int.MaxValue))
                first = at;
        return first;
    }

    /// <summary>Length of the longest end of the text with which a stop string begins.</summary>
    private int PossibleStart()
    {
        var longest = 0;
        foreach (var stop in stops)
            for (var length = Math.Min(stop.Length - 1, _text.Length); length > longest; length--)
                if (_text.AsSpan(_text.Length - length).SequenceEqual(stop.AsSpan(0, length)))
                    longest = length;
        return longest;
    }

    /// <summary>Lets go the tokens that lie wholly within so much text.</summary>
    private List<TokenText> Release(int length)
    {
        var released = new List<TokenText>();
        while (_held.TryPeek(out var token) && token.Text.Length <= length)
        {
            released.Add(_held.Dequeue());
            _text = _text[token.Text.Length..];
            length -= token.Text.Length;
        }
        return released;
    }

    /// <summary>Lets go the tokens that begin before the cut, the last of them cut; drops the others.</summary>
    private List<TokenText> ReleaseBefore(int cut)
    {
        var released = new List<TokenText>();
        while (cut > 0 && _held.TryDequeue(out var token))
        {
            var part = Math.Min(token.Text.Length, cut);
            released.Add(token with { Text = token.Text[..part] });
            _text = _text[part..];
            cut -= part;
        }
        _held.Clear();
        return released;
    }
}
