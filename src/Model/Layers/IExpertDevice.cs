using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers;

/// <summary>Where a process computes the experts that it holds, and what of them lives there. Tiles may change while another thread computes.</summary>
public interface IExpertDevice : IDisposable
{
    /// <summary>Processes that report the same id compute the same bits from the same input. It may change with the tiles.</summary>
    string KernelId { get; }

    /// <summary>Bytes of weights more that it has room for in memory of its own.</summary>
    long Room { get; }

    /// <summary>What it is, for people.</summary>
    string Description { get; }

    /// <summary>Measures how fast it is with the tiles that it has; null where so few weights are not worth it, or it cannot be known.</summary>
    /// <param name="weightBytes">Bytes of the tiles that it is to compute with.</param>
    /// <param name="loaded">Those of them that are in the host's memory and may be read for it; none: memory is taken for as long as it lasts.</param>
    MachineSpeed? MeasureSpeed(long weightBytes, IReadOnlyList<ExpertTile> loaded);

    /// <summary>Holds more tiles while calls run: takes those for which it has room into memory of its own.</summary>
    /// <param name="tiles">None of their blocks is held yet.</param>
    /// <param name="cancel">Gives up, and takes nothing.</param>
    /// <returns>Those that it took: the host must have the others in its memory.</returns>
    IReadOnlyList<ExpertTile> Hold(IReadOnlyList<ExpertTile> tiles, CancellationToken cancel);

    /// <summary>Lets go of blocks, which no call asks for any more.</summary>
    void Release(IReadOnlyCollection<(int Layer, int Expert, int Block)> blocks);

    /// <summary>Memory of its own that changes left behind: to be disposed when every call that came before now is answered.</summary>
    IReadOnlyList<IDisposable> GivenUp();

    /// <summary>An executor of its own buffers; owned by the caller, and not for concurrent use with others of this device on other threads.</summary>
    IExpertFeedForward Create(ActivationFormat format);
}
