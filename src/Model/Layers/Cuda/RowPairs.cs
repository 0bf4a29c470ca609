namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>Turns "the row of each pair" into "the pairs of each row". Not for concurrent use.</summary>
internal sealed class RowPairs
{
    // By row: its place among the touched ones, plus 1.
    private int[] _touched = [];

    /// <summary>Finds the rows that have pairs, and for each its pairs in ascending order: the order of the sum.</summary>
    /// <param name="rows">Row of each pair.</param>
    /// <param name="rowCount">Rows that there are.</param>
    /// <param name="touched">[at least as many as rows have pairs], overwritten from its start: those rows.</param>
    /// <param name="starts">[touched + 1], overwritten: where the pairs of each begin; what is past the last has none.</param>
    /// <param name="pairs">[rows.Length], overwritten.</param>
    public void Fill(ReadOnlySpan<int> rows, int rowCount, Span<int> touched, Span<int> starts, Span<int> pairs)
    {
        if (_touched.Length < rowCount)
            _touched = new int[Math.Max(rowCount, 2 * _touched.Length)];
        foreach (var row in rows)
            _touched[row] = 0;
        starts.Clear();
        var count = 0;
        foreach (var row in rows)
        {
            if (_touched[row] == 0)
            {
                touched[count] = row;
                _touched[row] = ++count;
            }
            starts[_touched[row]]++;
        }
        for (var i = 1; i < starts.Length; i++)
            starts[i] += starts[i - 1];
        for (var pair = rows.Length - 1; pair >= 0; pair--)
            pairs[--starts[_touched[rows[pair]]]] = pair;
        // Filling moved the end of each to its start.
        starts[1..].CopyTo(starts);
        starts[^1] = rows.Length;
    }
}
