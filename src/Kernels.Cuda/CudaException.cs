namespace Grok1Cluster.Kernels.Cuda;

/// <summary>A GPU, its driver or the kernel compiler is missing or failed; the message says what, which, and what to do.</summary>
public sealed class CudaException(string message, Exception? inner = null) : Exception(message, inner);
