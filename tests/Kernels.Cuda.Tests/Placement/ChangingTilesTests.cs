using Grok1Cluster.Kernels.Cuda.Tests.Emulator;
using Grok1Cluster.Kernels.Cuda.Tests.Kernels;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Kernels.Cuda.Tests.Placement;

/// <summary>Tiles that come to a device and go while a worker serves. An expert has six blocks here, the last narrower than the others.</summary>
public sealed unsafe class ChangingTilesTests : IDisposable
{
    private readonly ComputePool _pool = new(1, spin: false);
    private readonly SyntheticExperts _experts = new(WeightFormat.Int8, 176, 176);
    private readonly EmulatedDevice _device = new();

    [EmulatedFact]
    public void Neighbours_that_come_later_are_joined_and_computed_on_the_device()
    {
        using var gpu = Open(null, _experts.Tile(0, 32, 96), _experts.Tile(1));
        using var feedForward = gpu.Create(ActivationFormat.Int8Blocks);
        var held = gpu.Hold([_experts.Tile(0, 0, 32), _experts.Tile(0, 96)], CancellationToken.None);
        Assert.Equal(2, held.Count);
        MustComputeOnTheDevice(gpu, feedForward, _experts.Tile(0));
        MustComputeOnTheDevice(gpu, feedForward, _experts.Tile(0, 32, 128));

        FreeGivenUp(gpu);
        using var fresh = Open(null, _experts.Tile(0), _experts.Tile(1));
        Assert.Equal(fresh.Weights.Bytes, gpu.Weights.Bytes);
        MustComputeOnTheDevice(gpu, feedForward, _experts.Tile(0));
        Assert.Equal("cuda-emulated", gpu.KernelId);
    }

    [EmulatedFact]
    public void Blocks_that_go_give_their_memory_back_and_what_stays_is_computed_as_before()
    {
        using var gpu = Open(null, _experts.Tile(0), _experts.Tile(1));
        using var feedForward = gpu.Create(ActivationFormat.Int8Blocks);
        MustComputeOnTheDevice(gpu, feedForward, _experts.Tile(0));
        var free = _device.FreeMemory;
        gpu.Release([(0, 0, 2), (0, 0, 3), (0, 1, 0), (0, 1, 1), (0, 1, 2), (0, 1, 3), (0, 1, 4), (0, 1, 5), (0, 3, 1)]);
        MustComputeOnTheDevice(gpu, feedForward, _experts.Tile(0, 0, 64));
        MustComputeOnTheDevice(gpu, feedForward, _experts.Tile(0, 128));
        FreeGivenUp(gpu);
        using (var fresh = Open(null, _experts.Tile(0, 0, 64), _experts.Tile(0, 128)))
            Assert.Equal(fresh.Weights.Bytes, gpu.Weights.Bytes);
        Assert.True(_device.FreeMemory > free);
        MustComputeOnTheDevice(gpu, feedForward, _experts.Tile(0, 128));
        Assert.Equal(("cuda-emulated", 0L), (gpu.KernelId, gpu.HostBytes));
    }

    [EmulatedFact]
    public void What_comes_when_the_device_is_full_is_computed_by_the_CPU_until_it_goes()
    {
        using var sized = Open(null, _experts.Tile(0), _experts.Tile(1));
        using var gpu = Open(sized.Weights.Bytes, _experts.Tile(0), _experts.Tile(1));
        using var feedForward = gpu.Create(ActivationFormat.Int8Blocks);
        Assert.Empty(gpu.Hold([_experts.Tile(2)], CancellationToken.None));
        Assert.Equal((_experts.Tile(2).Bytes, 0L), (gpu.HostBytes, gpu.Room));
        Assert.Contains('+', gpu.KernelId);
        // More tokens than those for which a tile would pass through the device: there is no place for that.
        var launches = _device.Launches.Values.Sum();
        MustHaveTheBitsOfTheCpu(feedForward, _experts.Tile(2), CudaExpertFeedForward.MostOnCpu + 9);
        Assert.Equal(launches, _device.Launches.Values.Sum());
        gpu.Release([.. Enumerable.Range(0, 6).Select(block => (0, 2, block))]);
        Assert.Equal(("cuda-emulated", 0L), (gpu.KernelId, gpu.HostBytes));
    }

    [EmulatedFact]
    public void Where_there_is_no_room_to_move_what_is_there_it_stays_and_what_comes_is_a_piece_of_its_own()
    {
        // Room for the expert beside tables and reserve, but not for most of it twice.
        using var sized = Open(null, _experts.Tile(0));
        var device = new EmulatedDevice(memory: (_device.TotalMemory - _device.FreeMemory) * 8 / 7 + 4096);
        using var gpu = new CudaExpertDevice(device, _experts.Layout, [_experts.Tile(0, 0, 128)], _pool, limit: null);
        gpu.Weights.Load(null, CancellationToken.None);
        Assert.Single(gpu.Hold([_experts.Tile(0, 128)], CancellationToken.None));
        Assert.Empty(gpu.GivenUp());
        Assert.Equal(sized.Weights.Bytes, gpu.Weights.Bytes);
    }

    public void Dispose()
    {
        _experts.Dispose();
        _pool.Dispose();
    }

    private CudaExpertDevice Open(long? limit, params ExpertTile[] tiles)
    {
        var device = new CudaExpertDevice(_device, _experts.Layout, tiles, _pool, limit);
        device.Weights.Load(null, CancellationToken.None);
        return device;
    }

    private static void FreeGivenUp(CudaExpertDevice gpu)
    {
        var buffers = gpu.GivenUp();
        Assert.NotEmpty(buffers);
        foreach (var buffer in buffers)
            buffer.Dispose();
        Assert.Empty(gpu.GivenUp());
    }

    private void MustComputeOnTheDevice(CudaExpertDevice gpu, IExpertFeedForward feedForward, ExpertTile tile)
    {
        var launches = _device.Launches.GetValueOrDefault("expert_combine");
        MustHaveTheBitsOfTheCpu(feedForward, tile, 3);
        Assert.Equal(launches + 1, _device.Launches["expert_combine"]);
        Assert.Equal(0, gpu.Weights.Places);
    }

    private void MustHaveTheBitsOfTheCpu(IExpertFeedForward feedForward, ExpertTile tile, int count)
    {
        using var cpu = new CpuExpertFeedForward(_pool, _experts.Layout, ActivationFormat.Int8Blocks);
        using var x = _experts.Rows(count, ActivationFormat.Int8Blocks, seed: 3);
        int[] rows = [.. Enumerable.Range(0, count)];
        float[] gates = [.. rows.Select(row => 0.5f / (row + 1))];
        var (expected, actual) = (new float[count * _experts.Layout.Columns], new float[count * _experts.Layout.Columns]);
        fixed (float* e = expected, a = actual)
        {
            cpu.Accumulate([new TileWork(tile, 0, count)], x, rows, gates, e);
            feedForward.Accumulate([new TileWork(tile, 0, count)], x, rows, gates, a);
        }
        Assert.Equal(expected.Select(BitConverter.SingleToInt32Bits), actual.Select(BitConverter.SingleToInt32Bits));
    }
}
