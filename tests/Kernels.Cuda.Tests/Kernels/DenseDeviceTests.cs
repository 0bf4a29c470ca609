using System.Text.Json;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Engine.Forward;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Kv;
using Grok1Cluster.Kernels.Cuda.Tests.Emulator;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;
using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Kernels.Cuda.Tests.Kernels;

/// <summary>Whole models with attention, KV memory and head on the emulated device.</summary>
public sealed class DenseDeviceTests
{
    [EmulatedTheory]
    [InlineData("tiny-a")]
    [InlineData("tiny-b")]
    public void Exact_logits_and_choices_are_those_of_the_reference(string name)
    {
        using var model = new Lab(name, exact: true, gpu: true);
        var golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.TestData, name, "golden.json"))).RootElement.GetProperty("cases")[0];
        var logits = model.Logits(Ints(golden.GetProperty("tokens")), chunk: 7);
        var reference = golden.GetProperty("last_logits").EnumerateArray().Select(value => value.GetSingle());
        Assert.All(logits[^1].Zip(reference), pair => Assert.Equal(pair.Second, pair.First, 2e-3));
        Assert.Equal(Ints(golden.GetProperty("argmax")), logits.Select(row => row.IndexOf(row.Max())));
        Assert.Contains("kv_store_f32", model.Device!.Launches.Keys);
    }

    [EmulatedTheory]
    [InlineData("tiny-a", true, null)]
    [InlineData("tiny-b", true, null)]
    [InlineData("tiny-a", false, null)]
    [InlineData("tiny-b", false, KvFormat.Int8)]
    public void Logits_have_the_bits_of_the_CPU(string name, bool exact, KvFormat? kvFormat)
    {
        int[] tokens = [.. Enumerable.Range(0, 40).Select(i => i * 37 % 290)];
        using var gpu = new Lab(name, exact, gpu: true, kvFormat);
        using var cpu = new Lab(name, exact, gpu: false, kvFormat);
        // One chunk of more rows than a pass of the head takes, and one by one.
        Assert.Equal(cpu.Logits(tokens, 40), gpu.Logits(tokens, 40));
        Assert.Equal(cpu.Logits(tokens, 1), gpu.Logits(tokens, 1));
        Assert.Equal(!exact, gpu.Device!.Launches.ContainsKey("dense_stream_32"));
    }

    [EmulatedFact]
    public void What_does_not_fit_on_the_device_is_refused_before_anything_is_copied()
    {
        var fault = Assert.Throws<ResourceException>(() => new Lab("tiny-a", exact: false, gpu: true, memory: 1 << 20));
        Assert.Contains("emulated GPU has ", fault.Message);
        Assert.Contains("give less --kv-memory, --kv-format int8, or --device cpu", fault.Message);
    }

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(value => value.GetInt32())];

    /// <summary>A reference checkpoint, imported, its experts on the CPU.</summary>
    private sealed class Lab : IDisposable
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-cuda-dense-");
        private readonly Stack<IDisposable> _owned = new();
        private readonly ModelStore _store;
        private readonly ForwardPass _forward;
        private readonly KvBlockPool _kv;
        private readonly LocalExpertDispatcher _dispatcher;

        public Lab(string name, bool exact, bool gpu, KvFormat? kvFormat = null, long memory = 1L << 30)
        {
            var path = Path.Combine(_folder.FullName, name);
            using (var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, name)))
                StoreBuilder.Import(checkpoint, path, new StoreBuildOptions(), null, CancellationToken.None);
            _store = Own(ModelStore.Open(path));
            var (weights, pool) = (Own(_store.OpenDense()), Own(new ComputePool(1, spin: false)));
            Device = gpu ? new EmulatedDevice(memory: memory) : null;
            IDenseDevice device = Device is null ? new CpuDenseDevice(_store.Config, pool, exact, kvFormat) : new CudaDenseDevice(Device, _store.Config, pool, exact, kvFormat);
            Own(device);
            var blocks = KvBlockPool.BlocksFor(_store.Config.MaxSequenceLength);
            Assert.Equal(gpu ? 0 : blocks * device.KvBlockBytes, device.Place(_store.DenseLayout, blocks * device.KvBlockBytes));
            _dispatcher = new LocalExpertDispatcher(_store, new CpuExpertFeedForward(pool, _store.ExpertLayout, PanelProduct.ActivationsFor(_store.ExpertLayout.Format, exact)));
            var layers = device.CreateLayers(weights, _store.ExpertLayout);
            _forward = Own(new ForwardPass(_store, layers, _dispatcher, exact ? Precision.Exact : Precision.Fast));
            _kv = Own(new KvBlockPool(layers, blocks));
        }

        public EmulatedDevice? Device { get; }

        /// <summary>Of every position.</summary>
        public List<float[]> Logits(int[] tokens, int chunk)
        {
            using var scorer = new SequenceScorer(_store.Config, _forward, _kv, chunk);
            var all = new List<float[]>();
            scorer.Score(tokens, (_, logits) => all.Add(logits.ToArray()), CancellationToken.None);
            return all;
        }

        public void Dispose()
        {
            while (_owned.TryPop(out var item))
                item.Dispose();
            _dispatcher.DisposeAsync().AsTask().GetAwaiter().GetResult();
            _folder.Delete(recursive: true);
        }

        private T Own<T>(T item)
            where T : IDisposable
        {
            _owned.Push(item);
            return item;
        }
    }
}
