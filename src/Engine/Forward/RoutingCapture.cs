using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Engine.Forward;

/// <summary>Keeps the experts of every row of a step, for sequences that want to tell them.</summary>
internal sealed class RoutingCapture(Grok1Config config)
{
    /// <summary>[layers, rows, k].</summary>
    private int[] _experts = [];

    /// <summary>Rows of each layer that have been told: micro-batches come one after the other.</summary>
    private readonly int[] _told = new int[config.LayerCount];

    private int _rows;

    /// <summary>Whether the step under way is to be kept.</summary>
    public bool Wanted { get; private set; }

    /// <summary>A step begins.</summary>
    public void Begin(int rows, bool wanted)
    {
        (_rows, Wanted) = (rows, wanted);
        _told.AsSpan().Clear();
        if (wanted && _experts.Length < rows * config.LayerCount * config.ExpertsPerToken)
            _experts = new int[rows * config.LayerCount * config.ExpertsPerToken];
    }

    /// <summary>Takes the choice for the next rows of a layer, [rows, k].</summary>
    public void Add(int layer, ReadOnlyMemory<int> chosen)
    {
        if (!Wanted)
            return;
        chosen.Span.CopyTo(_experts.AsSpan((layer * _rows + _told[layer]) * config.ExpertsPerToken));
        _told[layer] += chosen.Length / config.ExpertsPerToken;
    }

    /// <summary>What a row was routed to: [layers, k].</summary>
    public int[] Row(int row)
    {
        var k = config.ExpertsPerToken;
        var experts = new int[config.LayerCount * k];
        for (var layer = 0; layer < config.LayerCount; layer++)
            _experts.AsSpan((layer * _rows + row) * k, k).CopyTo(experts.AsSpan(layer * k));
        return experts;
    }
}
