using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Model.Layers;

/// <summary>Where a process computes the experts that it holds, and what of them lives there.</summary>
public interface IExpertDevice : IDisposable
{
    /// <summary>Processes that report the same id compute the same bits from the same input.</summary>
    string KernelId { get; }

    /// <summary>Bytes of the held tiles that are computed from the host's memory.</summary>
    long HostBytes { get; }

    /// <summary>What it is, for people.</summary>
    string Description { get; }

    /// <summary>Measures how fast it is with the tiles that it has; null where so few weights are not worth it, or it cannot be known.</summary>
    /// <param name="weightBytes">Bytes of the tiles that it is to compute with.</param>
    MachineSpeed? MeasureSpeed(long weightBytes);

    /// <summary>An executor of its own buffers; owned by the caller, and not for concurrent use with others of this device on other threads.</summary>
    IExpertFeedForward Create(ActivationFormat format);
}
