using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>All that the grids of a small call and the layout of its staging buffer depend on, rounded up to buckets.</summary>
internal readonly record struct PassSize(int Rows, int Pairs, int Items, int Panels, int Blocks, int ItemPairs);

/// <summary>Recorded calls by their size. They hold addresses: whoever moves a buffer makes them forgotten.</summary>
internal sealed class PassGraphs
{
    /// <summary>Graphs kept; a size that comes after them makes room by forgetting all.</summary>
    private const int Most = 256;

    private readonly Dictionary<PassSize, IKernelGraph> _graphs = [];

    /// <summary>The graph of a size, or null.</summary>
    public IKernelGraph? Find(PassSize size) => _graphs.GetValueOrDefault(size);

    /// <summary>Keeps the graph of a new size.</summary>
    public IKernelGraph Add(PassSize size, IKernelGraph graph)
    {
        if (_graphs.Count == Most)
            Forget();
        _graphs.Add(size, graph);
        return graph;
    }

    public void Forget()
    {
        foreach (var graph in _graphs.Values)
            graph.Dispose();
        _graphs.Clear();
    }
}
