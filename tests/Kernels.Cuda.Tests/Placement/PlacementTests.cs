using Grok1Cluster.Kernels.Cuda.Driver;
using Grok1Cluster.Kernels.Cuda.Tests.Emulator;
using Grok1Cluster.Kernels.Cuda.Tests.Kernels;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;

namespace Grok1Cluster.Kernels.Cuda.Tests.Placement;

/// <summary>What lives on a device, and what a process says of it.</summary>
public sealed class PlacementTests
{
    [Theory]
    [InlineData("cpu", null, false)]
    [InlineData("auto", 0, true)]
    [InlineData("cuda", 0, false)]
    [InlineData("cuda:7", 7, false)]
    public void A_device_is_named_as_it_is_written(string text, int? cuda, bool isAuto)
    {
        Assert.True(DeviceChoice.TryParse(text, out var choice));
        Assert.Equal((cuda, isAuto), (choice.Cuda, choice.IsAuto));
    }

    [Theory]
    [InlineData("")]
    [InlineData("gpu")]
    [InlineData("cuda:")]
    [InlineData("cuda:-1")]
    [InlineData("cuda:64")]
    [InlineData("CUDA:0")]
    [InlineData("cuda:1 ")]
    public void Other_names_are_refused(string text) => Assert.False(DeviceChoice.TryParse(text, out _));

    [EmulatedFact]
    public void A_device_that_holds_all_tiles_says_so_in_its_kernel_id_and_needs_no_host_memory()
    {
        using var pool = new ComputePool(1, spin: false);
        using var experts = new SyntheticExperts(WeightFormat.Int8, 64, 64);
        using var device = new CudaExpertDevice(new EmulatedDevice(), experts.Layout, [experts.Tile(0), experts.Tile(1)], pool, limit: null);
        Assert.Equal(("cuda-emulated", 0L), (device.KernelId, device.HostBytes));
        Assert.Equal("emulated GPU, 2 of 2 tiles on it", device.Description);
    }

    [EmulatedFact]
    public void What_does_not_fit_stays_on_the_host_and_shows_in_the_kernel_id()
    {
        using var pool = new ComputePool(1, spin: false);
        using var experts = new SyntheticExperts(WeightFormat.Int8, 256, 256);
        Model.Store.ExpertTile[] tiles = [experts.Tile(0), experts.Tile(1), experts.Tile(2), experts.Tile(3)];
        // Room for one and a half beside the two places.
        using var device = new CudaExpertDevice(new EmulatedDevice(), experts.Layout, tiles, pool, limit: 7 * tiles[0].Bytes / 2);
        Assert.Equal(["cuda-emulated", CpuFeatures.KernelId], device.KernelId.Split('+'));
        Assert.Equal(3 * tiles[0].Bytes, device.HostBytes);
        Assert.Equal([tiles[0]], device.Weights.Resident);
        Assert.Equal(2, device.Weights.Places);
    }

    [EmulatedFact]
    public void A_device_with_room_for_nothing_is_refused_with_both_figures()
    {
        using var pool = new ComputePool(1, spin: false);
        using var experts = new SyntheticExperts(WeightFormat.Int8, 64, 64);
        var error = Assert.Throws<CudaException>(() => new CudaExpertDevice(new EmulatedDevice(), experts.Layout, [experts.Tile(0)], pool, limit: 1));
        Assert.Contains("free bytes", error.Message);
        Assert.Contains("--device cpu", error.Message);
    }

    [EmulatedFact]
    public void A_device_measures_a_speed_that_a_planner_can_use_where_weights_are_many()
    {
        using var pool = new ComputePool(1, spin: false);
        using var experts = new SyntheticExperts(WeightFormat.Int8, 64, 64);
        var emulated = new EmulatedDevice();
        using var device = new CudaExpertDevice(emulated, experts.Layout, [experts.Tile(0)], pool, limit: null);
        Assert.Null(device.MeasureSpeed(MachineSpeed.LeastWeights - 1, []));
        var free = emulated.FreeMemory;
        var speed = device.MeasureSpeed(MachineSpeed.LeastWeights, [])!;
        // Every measured piece of work takes a millisecond there: a copy of an eighth of what is free, and the smallest product.
        Assert.Equal(2 * (free / 8) * 1e3, speed.ReadBytesPerSecond, 1.0);
        Assert.Equal(2.0 * 64 * 1024 * 1024 * 1e3, speed.OperationsPerSecond, 1.0);
        Assert.Equal(free, emulated.FreeMemory);
    }

    [Fact]
    public void Formats_without_kernels_take_the_CPU_with_auto_and_are_refused_by_number()
    {
        var notes = new List<string>();
        Assert.Null(CudaExpertDevice.Open(DeviceChoice.Auto, WeightFormat.BFloat16, Path.GetTempPath(), notes.Add));
        Assert.StartsWith("--device auto takes the CPU: experts in BFloat16 have no GPU kernels", Assert.Single(notes));
        var error = Assert.Throws<ResourceException>(() => CudaExpertDevice.Open(new DeviceChoice(0, IsAuto: false), WeightFormat.BFloat16, Path.GetTempPath(), notes.Add));
        Assert.Contains("int8 or int4", error.Message);
        Assert.Null(CudaExpertDevice.Open(DeviceChoice.Cpu, WeightFormat.Int8, Path.GetTempPath(), notes.Add));
        Assert.Single(notes);
    }

    [Fact]
    public void A_machine_says_what_is_missing_for_a_GPU_or_that_nothing_is()
    {
        var missing = CudaSystem.Missing();
        Assert.Equal(missing is null, CudaSystem.DriverVersion is not null && CudaSystem.CompilerVersion is not null && CudaSystem.Devices().Any(device => device.Architecture >= CudaDeviceInfo.LeastArchitecture));
        if (CudaSystem.DriverVersion is null)
            Assert.Contains("install NVIDIA's driver", missing);
    }
}
