namespace Grok1Cluster.Model.Layers;

/// <summary>Consecutive rows of a batch that belong to one sequence: a prefill chunk, or one row of decode.</summary>
/// <param name="FirstRow">Its first row in the batch.</param>
/// <param name="Rows">Rows, at least 1.</param>
/// <param name="Start">Position of the first row in the sequence.</param>
/// <param name="FirstBlock">Index of the sequence's first KV block in <see cref="TokenBatch.Blocks"/>.</param>
/// <param name="BlockCount">KV blocks that hold positions 0 to Start + Rows - 1.</param>
public readonly record struct SequenceRun(int FirstRow, int Rows, int Start, int FirstBlock, int BlockCount);

/// <summary>
/// The rows of one step: tokens of one or several sequences, each with its position and its sequence's KV blocks. Reused
/// from step to step; grows, never shrinks.
/// </summary>
public sealed class TokenBatch
{
    private readonly List<SequenceRun> _runs = [];
    private readonly List<int> _tokens = [];
    private readonly List<nint> _blocks = [];

    public int Rows => _tokens.Count;

    public IReadOnlyList<SequenceRun> Runs => _runs;

    /// <summary>Token id of each row.</summary>
    public ReadOnlySpan<int> Tokens => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_tokens);

    /// <summary>Addresses of KV blocks (all layers of 32 positions), run by run.</summary>
    public ReadOnlySpan<nint> Blocks => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_blocks);

    /// <summary>Whether every row is the only one of its sequence.</summary>
    public bool IsDecode => _runs.Count == _tokens.Count;

    public void Clear()
    {
        _runs.Clear();
        _tokens.Clear();
        _blocks.Clear();
    }

    /// <summary>Adds rows of a sequence.</summary>
    /// <param name="tokens">Token ids, at least one.</param>
    /// <param name="start">Position of the first.</param>
    /// <param name="blocks">The sequence's KV blocks from position 0 on, enough for these rows.</param>
    public void Add(ReadOnlySpan<int> tokens, int start, ReadOnlySpan<nint> blocks)
    {
        var needed = (start + tokens.Length + Kernels.KvCache.KvBlockLayout.Tokens - 1) / Kernels.KvCache.KvBlockLayout.Tokens;
        if (tokens.Length == 0 || blocks.Length < needed)
            throw new ArgumentException($"{tokens.Length} tokens from position {start} need {needed} KV blocks, {blocks.Length} are given");
        _runs.Add(new SequenceRun(Rows, tokens.Length, start, _blocks.Count, needed));
        foreach (var token in tokens)
            _tokens.Add(token);
        foreach (var block in blocks[..needed])
            _blocks.Add(block);
    }

    /// <summary>Adds some rows of another batch; a run may be cut, its later rows need its earlier ones only in the same layer.</summary>
    /// <param name="source">The other batch.</param>
    /// <param name="first">Its first row to add.</param>
    /// <param name="end">One past its last.</param>
    public void AddRows(TokenBatch source, int first, int end)
    {
        foreach (var run in source._runs)
        {
            var (from, to) = (Math.Max(first, run.FirstRow), Math.Min(end, run.FirstRow + run.Rows));
            if (from < to)
                Add(source.Tokens[from..to], run.Start + from - run.FirstRow, source.Blocks.Slice(run.FirstBlock, run.BlockCount));
        }
    }
}
