using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Driver;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>From what somebody asked to compute on to the GPU, or to what is missing.</summary>
internal static class CudaOpening
{
    /// <summary>Opens the device that was asked for; null is the processor.</summary>
    /// <param name="choice">What was asked for.</param>
    /// <param name="unsupported">Why no GPU will do for this model, or null.</param>
    /// <param name="cacheDirectory">Where compiled kernels are kept.</param>
    /// <param name="note">Told in a line why the processor computes although a GPU would have done.</param>
    /// <exception cref="ResourceException">A GPU was asked for by its number and cannot be used; it says what is missing.</exception>
    public static IKernelDevice? Open(DeviceChoice choice, string? unsupported, string cacheDirectory, Action<string> note)
    {
        if (choice.Cuda is not { } number)
            return null;
        var missing = unsupported ?? CudaSystem.Missing();
        if (missing is null)
        {
            try
            {
                return CudaDevice.Open(number, cacheDirectory);
            }
            catch (CudaException e)
            {
                missing = e.Message;
            }
        }
        if (!choice.IsAuto)
            throw new ResourceException($"--device {choice}: {missing}");
        note($"--device auto takes the CPU: {missing}");
        return null;
    }
}
