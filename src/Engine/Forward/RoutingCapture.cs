using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Engine.Forward;

/// <summary>Keeps the experts of every row of a step, for sequences that want to tell them.</summary>
internal sealed class RoutingCapture(Grok1Config config)
{
    private int[] _experts = [];
    private int _rows;

    /// <summary>Whether the step under way is to be kept.</summary>
    public bool Wanted { get; private set; }

    /// <summary>A step begins.</summary>
    public void Begin(int rows, bool wanted)
    {
        (_rows, Wanted) = (rows, wanted);
        if (wanted && _experts.Length < rows * config.LayerCount * config.ExpertsPerToken)
            _experts = new int[rows * config.LayerCount * config.ExpertsPerToken];
    }

    /// <summary>Takes a layer's choice, [rows, k].</summary>
    public void Add(int layer, ReadOnlyMemory<int> chosen)
    {
        if (Wanted)
            chosen.Span.CopyTo(_experts.AsSpan(layer * _rows * config.ExpertsPerToken));
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
