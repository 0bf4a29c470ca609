using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Kernels.Cuda.Tests.Emulator;

/// <summary>
/// A device whose memory is the host's and whose kernels run on the CPU, behind the launch interface of the driver. Everything
/// happens at once and in order; what a stream of the driver does in the background is not shown. Memory begins poisoned and
/// has guards on both sides, which are looked at when it is freed.
/// </summary>
internal sealed class EmulatedDevice(int order = 0, long memory = 1L << 30) : IKernelDevice
{
    private long _used;

    public string Name => "emulated GPU";

    public string KernelId => "cuda-emulated";

    public long FreeMemory => memory - _used;

    public long TotalMemory => memory;

    /// <summary>Launches since the beginning, by kernel.</summary>
    public Dictionary<string, int> Launches { get; } = [];

    /// <summary>Graphs that were recorded.</summary>
    public int Captures { get; private set; }

    /// <summary>Copies since the beginning.</summary>
    public int CopiesToDevice { get; private set; }

    /// <summary>Copies since the beginning.</summary>
    public int CopiesToHost { get; private set; }

    public IDeviceBuffer Allocate(long bytes)
    {
        if (bytes > FreeMemory)
            throw new CudaException($"cannot allocate {bytes} bytes on {Name}");
        _used += bytes;
        return new GuardedBuffer(bytes, () => _used -= bytes);
    }

    public IDeviceBuffer AllocatePinned(long bytes) => new GuardedBuffer(bytes, () => { });

    public IKernelStream CreateStream() => new EmulatedStream(this, order);

    public IKernelEvent CreateEvent() => new EmulatedEvent();

    public IKernelModule Load(string file) => new EmulatedModule(KernelLibrary.Of(file));

    public void Dispose()
    {
    }

    private sealed unsafe class GuardedBuffer : IDeviceBuffer
    {
        private const int Guard = 256;
        private const byte Pattern = 0xcb;
        private readonly Action _free;
        private byte* _start;

        public GuardedBuffer(long bytes, Action free)
        {
            (Bytes, _free) = (bytes, free);
            _start = (byte*)NativeMemory.AlignedAlloc((nuint)(bytes + 2 * Guard), Guard);
            // A pattern that is not a number anybody computes with.
            NativeMemory.Fill(_start, (nuint)(bytes + 2 * Guard), Pattern);
        }

        public nint Address => (nint)_start + Guard;

        public long Bytes { get; }

        public void Dispose()
        {
            if (_start is null)
                return;
            for (var i = 0; i < Guard; i++)
                Assert.True(_start[i] == Pattern && _start[Guard + Bytes + i] == Pattern, $"something wrote outside a buffer of {Bytes} bytes");
            NativeMemory.AlignedFree(_start);
            _start = null;
            _free();
        }
    }

    private sealed class EmulatedModule(KernelLibrary library) : IKernelModule
    {
        public IKernel Find(string name) => new EmulatedKernel(library, name, library.Find(name), library.ThreadsOf(name), library.ParameterBytesOf(name));

        public void Dispose()
        {
        }
    }

    private sealed record EmulatedKernel(KernelLibrary Library, string Name, nint Address, int Threads, int ParameterBytes) : IKernel;

    private sealed class EmulatedEvent : IKernelEvent
    {
        public void Wait()
        {
        }

        /// <summary>No time passes here that would mean anything.</summary>
        public TimeSpan Since(IKernelEvent earlier) => TimeSpan.FromMilliseconds(1);

        public void Dispose()
        {
        }
    }

    private sealed class EmulatedGraph(List<Action> work) : IKernelGraph
    {
        public void Run() => work.ForEach(action => action());

        public void Dispose() => work.Clear();
    }

    private sealed unsafe class EmulatedStream(EmulatedDevice device, int order) : IKernelStream
    {
        private List<Action>? _recording;

        public void CopyToDevice(nint target, nint source, long bytes) => Copy(target, source, bytes, () => device.CopiesToDevice++);

        public void CopyToHost(nint target, nint source, long bytes) => Copy(target, source, bytes, () => device.CopiesToHost++);

        public void CopyOnDevice(nint target, nint source, long bytes) => Copy(target, source, bytes, () => { });

        public void Launch<T>(IKernel kernel, Grid grid, int threads, int sharedBytes, in T parameters)
            where T : unmanaged
        {
            if (grid.X == 0 || grid.Y == 0 || grid.Z == 0)
                return;
            var emulated = (EmulatedKernel)kernel;
            // The two sides of a launch are written in two languages.
            Assert.Equal((emulated.Threads, emulated.ParameterBytes), (threads, sizeof(T)));
            var copy = parameters;
            Do(() =>
            {
                device.Launches[emulated.Name] = device.Launches.GetValueOrDefault(emulated.Name) + 1;
                // On the stack: what a closure holds may be moved while the kernel reads it.
                var fixedCopy = copy;
                emulated.Library.Launch(emulated.Address, grid, threads, sharedBytes, &fixedCopy, order);
            });
        }

        public void Record(IKernelEvent kernelEvent)
        {
        }

        public void WaitFor(IKernelEvent kernelEvent)
        {
        }

        public void Synchronize() => Assert.Null(_recording);

        public IKernelGraph Capture(Action work)
        {
            Assert.Null(_recording);
            _recording = [];
            device.Captures++;
            try
            {
                work();
                return new EmulatedGraph(_recording);
            }
            finally
            {
                _recording = null;
            }
        }

        public void Run(IKernelGraph graph) => ((EmulatedGraph)graph).Run();

        public void Dispose()
        {
        }

        private void Copy(nint target, nint source, long bytes, Action count) => Do(() =>
        {
            count();
            Buffer.MemoryCopy((void*)source, (void*)target, bytes, bytes);
        });

        private void Do(Action action)
        {
            if (_recording is null)
                action();
            else
                _recording.Add(action);
        }
    }
}
