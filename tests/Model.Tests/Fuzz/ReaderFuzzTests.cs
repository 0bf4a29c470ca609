using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Model.Tests.Checkpoints;
using Grok1Cluster.Model.Tests.Store;
using Grok1Cluster.Model.Tokenizer;
using Grok1Cluster.TestKit.Fuzzing;

namespace Grok1Cluster.Model.Tests.Fuzz;

/// <summary>The files of a model may come from anywhere: whatever is in them is read, or refused as a fault of the model.</summary>
public sealed class ReaderFuzzTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    [Fact]
    public void A_pickle_is_read_or_refused_in_bounded_memory() => new FuzzRun { Reader = "pickle", Inputs = 15_000, Refuses = IsModelFault }.Check(bytes =>
    {
        var tensor = PickleBuilder.Read(bytes);
        foreach (var array in new[] { tensor.Values, tensor.Scales })
            Assert.True(array is null || (array.Offset >= 0 && array.Bytes >= 0 && array.Offset + array.Bytes <= bytes.Length));
    });

    [Fact]
    public void A_tokenizer_is_read_or_refused_in_bounded_memory_and_what_is_read_encodes() =>
        new FuzzRun { Reader = "tokenizer", Inputs = 4000, Refuses = IsModelFault, AllocationFactor = 200 }.Check(bytes =>
        {
            var tokenizer = SentencePieceTokenizer.Parse(bytes, "fuzz.model");
            tokenizer.Decode(tokenizer.Encode("ab ab é\n\0 a"));
        });

    [Fact]
    public void A_config_is_read_or_refused_in_bounded_memory() => new FuzzRun { Reader = "config", Inputs = 3000, Refuses = IsModelFault }.Check(bytes =>
    {
        File.WriteAllBytes(_file, bytes);
        Grok1ConfigRules.Check(Grok1ConfigFile.Load(_file), "fuzz");
    });

    [Fact]
    public void A_manifest_is_read_or_refused_in_bounded_memory()
    {
        using var stores = new StoreFixture();
        var store = stores.Import("tiny-b", "s");
        var manifest = Path.Combine(store, "manifest.json");
        new FuzzRun { Reader = "manifest", Inputs = 2000, Refuses = IsModelFault, AllocationFloor = 1 << 20, Sound = [File.ReadAllBytes(manifest)] }.Check(bytes =>
        {
            File.WriteAllBytes(manifest, bytes);
            ModelStore.Open(store).Dispose();
        });
    }

    public void Dispose() => File.Delete(_file);

    private static bool IsModelFault(Exception fault) => fault is ModelException && !fault.Message.Contains('\n');
}
