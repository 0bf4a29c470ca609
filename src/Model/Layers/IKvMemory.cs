namespace Grok1Cluster.Model.Layers;

/// <summary>Memory for KV blocks, where the attention that reads them computes. Freed on <see cref="IDisposable.Dispose"/>.</summary>
public interface IKvMemory : IDisposable
{
    /// <summary>Where it begins, aligned to 64 bytes; an address of the device, which only its attention may follow.</summary>
    nint Address { get; }
}
