using System.Text.Json;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Engine.Forward;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Kv;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Engine.Tests.Parity;

/// <summary>A small reference checkpoint, imported to a temporary store and ready to run in this process.</summary>
public sealed class GoldenModel : IDisposable
{
    private readonly string _directory;
    private readonly ComputePool _pool;
    private readonly DenseWeights _weights;
    private readonly LocalExpertDispatcher _dispatcher;

    public GoldenModel(string name, Precision precision, int threads = 2, int chunk = SequenceScorer.DefaultChunk, int? kvBlocks = null, KvFormat? kvFormat = null)
    {
        _directory = Directory.CreateTempSubdirectory("grok1-golden-").FullName;
        var path = Path.Combine(_directory, name);
        using (var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, name)))
            StoreBuilder.Import(checkpoint, path, new StoreBuildOptions(), null, CancellationToken.None);
        Store = ModelStore.Open(path);
        _weights = Store.OpenDense();
        _pool = new ComputePool(threads, spin: false);
        var exact = precision == Precision.Exact;
        _dispatcher = new LocalExpertDispatcher(Store, new CpuExpertFeedForward(_pool, Store.ExpertLayout, PanelProduct.ActivationsFor(Store.ExpertLayout.Format, exact)));
        var layers = new CpuDenseLayers(Store.Config, _weights, _pool, exact, kvFormat);
        Forward = new ForwardPass(Store, layers, _dispatcher, precision);
        Kv = new KvBlockPool(layers, kvBlocks ?? KvBlockPool.BlocksFor(Store.Config.MaxSequenceLength));
        Scorer = new SequenceScorer(Store.Config, Forward, Kv, chunk);
        Golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.TestData, name, "golden.json"))).RootElement;
    }

    public ModelStore Store { get; }

    public ForwardPass Forward { get; }

    public KvBlockPool Kv { get; }

    public SequenceScorer Scorer { get; }

    public JsonElement Golden { get; }

    public void Dispose()
    {
        Scorer.Dispose();
        Kv.Dispose();
        Forward.Dispose();
        _dispatcher.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _weights.Dispose();
        Store.Dispose();
        _pool.Dispose();
        Directory.Delete(_directory, recursive: true);
    }
}
