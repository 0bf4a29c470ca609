namespace Grok1Cluster.Cluster.Plans;

/// <summary>What a plan has to know of a model: how many experts there are and where they may be cut.</summary>
public sealed record PlanGeometry
{
    /// <summary>Far above any known model; it keeps a hostile config from asking for billions of tiles.</summary>
    private const long MaxTiles = 1 << 24;

    /// <exception cref="PlanException">A size is not positive, or the finest cut would make more than 2^24 tiles.</exception>
    public PlanGeometry(string model, int layerCount, int expertCount, int feedForwardDim, int sliceQuantum)
    {
        (string Name, int Value)[] sizes =
        [
            (nameof(LayerCount), layerCount), (nameof(ExpertCount), expertCount),
            (nameof(FeedForwardDim), feedForwardDim), (nameof(SliceQuantum), sliceQuantum),
        ];
        var problems = sizes.Where(size => size.Value <= 0).Select(size => $"{size.Name} is {size.Value}, not positive").ToList();
        if (problems.Count == 0 && (Int128)layerCount * expertCount * CeilingDivide(feedForwardDim, sliceQuantum) > MaxTiles)
            problems.Add($"{layerCount} layers of {expertCount} experts of {feedForwardDim} columns in blocks of {sliceQuantum} exceed {MaxTiles} tiles");
        if (problems.Count > 0)
            throw new PlanException($"model {model} cannot be placed", problems);

        Model = model;
        LayerCount = layerCount;
        ExpertCount = expertCount;
        FeedForwardDim = feedForwardDim;
        SliceQuantum = sliceQuantum;
    }

    /// <summary>The model's name, as plans and the API show it.</summary>
    public string Model { get; }

    public int LayerCount { get; }

    public int ExpertCount { get; }

    /// <summary>Hidden width of one expert, in columns; what slices cut.</summary>
    public int FeedForwardDim { get; }

    /// <summary>Width in columns of the model store's expert block: slices begin and end on its multiples, the last at FeedForwardDim.</summary>
    public int SliceQuantum { get; }

    /// <summary>Blocks in one expert; the last one may be narrower than <see cref="SliceQuantum"/>.</summary>
    public int BlockCount => CeilingDivide(FeedForwardDim, SliceQuantum);

    /// <summary>Whether a slice may begin or end at <paramref name="column"/>.</summary>
    public bool IsEdge(int column) =>
        column == FeedForwardDim || (column >= 0 && column < FeedForwardDim && column % SliceQuantum == 0);

    /// <summary>The block that begins at a slice edge; <see cref="BlockCount"/> for FeedForwardDim.</summary>
    public int BlockAt(int edge) => CeilingDivide(edge, SliceQuantum);

    private static int CeilingDivide(int value, int divisor) => (int)(((long)value + divisor - 1) / divisor);
}
