using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>Recorded calls by their size. They hold addresses: whoever moves a buffer makes them forgotten.</summary>
/// <param name="most">Graphs kept; a size that comes after them makes room by forgetting all.</param>
internal sealed class RecordedGraphs<TSize>(int most)
    where TSize : struct
{
    private readonly Dictionary<TSize, IKernelGraph> _graphs = [];

    /// <summary>The graph of a size, or null.</summary>
    public IKernelGraph? Find(TSize size) => _graphs.GetValueOrDefault(size);

    /// <summary>Keeps the graph of a new size.</summary>
    public IKernelGraph Add(TSize size, IKernelGraph graph)
    {
        if (_graphs.Count == most)
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
