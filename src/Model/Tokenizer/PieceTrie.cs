namespace Grok1Cluster.Model.Tokenizer;

/// <summary>Finds the longest user-defined piece at a position, in time bounded by the longest such piece.</summary>
internal sealed class PieceTrie
{
    private const int Root = 0;

    /// <summary>(node, next UTF-16 unit) to node. Node 0 is the root.</summary>
    private readonly Dictionary<(int Node, char Unit), int> _edges = [];

    /// <summary>The piece that ends at each node; null where none does.</summary>
    private readonly List<int?> _pieceAt = [null];

    /// <summary>Units that start a piece: most positions are dismissed by one look here.</summary>
    private readonly bool[] _starts = new bool[char.MaxValue + 1];

    public void Add(string text, int id)
    {
        _starts[text[0]] = true;
        var node = Root;
        foreach (var unit in text)
        {
            if (!_edges.TryGetValue((node, unit), out var next))
            {
                next = _pieceAt.Count;
                _edges.Add((node, unit), next);
                _pieceAt.Add(null);
            }
            node = next;
        }
        _pieceAt[node] = id;
    }

    /// <summary>The longest piece that <paramref name="text"/> starts with.</summary>
    public bool TryMatch(ReadOnlySpan<char> text, out int id, out int length)
    {
        id = length = 0;
        if (!_starts[text[0]])
            return false;
        var node = Root;
        for (var i = 0; i < text.Length && _edges.TryGetValue((node, text[i]), out node); i++)
        {
            if (_pieceAt[node] is not { } piece)
                continue;
            id = piece;
            length = i + 1;
        }
        return length > 0;
    }
}
