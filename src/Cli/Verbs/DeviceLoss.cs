using Grok1Cluster.Kernels.Cuda;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>
/// Notices that a GPU failed. Its driver then fails everything that this process still asks for, so the process ends, and others or
/// its successor take its calls.
/// </summary>
/// <param name="role">What the process is.</param>
internal sealed class DeviceLoss(string role) : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private volatile CudaException? _fault;

    /// <summary>Cancelled when the GPU is lost.</summary>
    public CancellationToken Token => _source.Token;

    /// <summary>Told of every fault of a call, or of a step.</summary>
    public void Notice(Exception fault)
    {
        if (fault is not CudaException lost)
            return;
        _fault = lost;
        // On another thread: this one still has a call to answer.
        _ = _source.CancelAsync();
    }

    /// <exception cref="CudaException">The GPU is lost.</exception>
    public void ThrowIfLost()
    {
        if (_fault is { } fault)
            throw new CudaException($"this {role} ends because its GPU failed: {fault.Message}", fault);
    }

    public void Dispose() => _source.Dispose();
}
