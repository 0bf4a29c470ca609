using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Model.Tests.Checkpoints;
using Grok1Cluster.Model.Tests.Tokenizer;

namespace Grok1Cluster.Model.Tests.Store;

public sealed class VerificationTests : IDisposable
{
    private readonly StoreFixture _stores = new();

    public void Dispose() => _stores.Dispose();

    [Fact]
    public void One_flipped_bit_in_any_file_is_found_and_its_place_named()
    {
        var path = ImportWithTokenizer();
        var verified = StoreFixture.Verify(path);
        Assert.Equal([], verified.Problems);
        Assert.Equal(1 + 1 + 1 + 8, verified.Files);

        var random = new Random(5);
        foreach (var file in Directory.GetFiles(path, "*", SearchOption.AllDirectories).Where(file => !file.EndsWith("manifest.json")))
            for (var round = 0; round < 3; round++)
            {
                var bytes = File.ReadAllBytes(file);
                var position = random.Next(bytes.Length);
                StoreFixture.Change(file, position, (byte)(bytes[position] ^ 1 << random.Next(8)));
                var problems = StoreFixture.Verify(path).Problems;
                Assert.NotEmpty(problems);
                Assert.All(problems, problem => Assert.StartsWith(file, problem));
                Assert.Contains(problems, problem => problem.Contains("SHA-256"));
                File.WriteAllBytes(file, bytes);
            }
        Assert.True(StoreFixture.Verify(path).IsSound);
    }

    [Fact]
    public void Damaged_blocks_are_listed_in_one_line()
    {
        var path = _stores.Import("tiny-b", "s");
        using var store = ModelStore.Open(path);
        var file = store.FilePath(store.Find(1, 2)!.File);
        var blockBytes = store.ExpertLayout.Blocks[0].Bytes;
        foreach (var block in (int[])[1, 4, 5])
            StoreFixture.Change(file, block * blockBytes + 77, 200, 201, 202);
        Assert.Equal([$"{file}: 3 of 8 blocks have another SHA-256 than in the manifest: 1, 4-5; import the model again"], StoreFixture.Verify(path).Problems);
    }

    [Fact]
    public void An_exchanged_expert_file_is_found()
    {
        var path = _stores.Import("tiny-b", "s");
        string first = Path.Combine(path, "experts/layer-00-expert-0.bin"), second = Path.Combine(path, "experts/layer-01-expert-3.bin");
        File.Move(first, first + "x");
        File.Move(second, first);
        File.Move(first + "x", second);
        ModelStore.Open(path).Dispose();
        var problems = StoreFixture.Verify(path).Problems;
        Assert.Equal(2, problems.Count);
        Assert.All(problems, problem => Assert.Contains("no block has its SHA-256 of the manifest (8 blocks): this is another file", problem));
    }

    [Fact]
    public void Missing_cut_and_foreign_files_are_all_named()
    {
        var path = _stores.Import("tiny-b", "s");
        string Expert(int expert) => Path.Combine(path, $"experts/layer-00-expert-{expert}.bin");
        File.Delete(Expert(0));
        using (var file = File.OpenWrite(Expert(1)))
            file.SetLength(file.Length - 1);
        File.WriteAllBytes(Expert(2), []);
        File.WriteAllText(Path.Combine(path, "experts/notes.txt"), "x");
        File.WriteAllText(Path.Combine(path, "MODEL_CARD.md"), "welcome");

        Assert.Contains("no such file", Assert.Throws<ModelException>(() => ModelStore.Open(path)).Message);
        var problems = StoreFixture.Verify(path).Problems;
        Assert.Equal(4, problems.Count);
        Assert.Contains("expert-0.bin: no such file", problems[0]);
        Assert.Contains("expert-1.bin: has", problems[1]);
        Assert.Contains("expert-2.bin: is empty", problems[2]);
        Assert.Contains("notes.txt: is not part of the store; remove it", problems[3]);
    }

    [Theory]
    [InlineData("dense.bin")]
    [InlineData("tokenizer.model")]
    [InlineData("experts/layer-01-expert-2.bin")]
    public void A_cut_file_is_refused_when_the_store_is_opened(string name)
    {
        var path = ImportWithTokenizer();
        var file = Path.Combine(path, name);
        using (var stream = File.OpenWrite(file))
            stream.SetLength(stream.Length / 2);
        Assert.StartsWith(file, Assert.Throws<ModelException>(() => ModelStore.Open(path)).Message);
    }

    [Fact]
    public void Links_in_a_circle_and_folders_in_the_place_of_files_are_reported()
    {
        var path = _stores.Import("tiny-b", "s");
        var circle = Path.Combine(path, "experts/layer-00-expert-0.bin");
        File.Delete(circle);
        File.CreateSymbolicLink(circle, circle);
        File.Delete(Path.Combine(path, "dense.bin"));
        Directory.CreateDirectory(Path.Combine(path, "dense.bin"));
        Assert.Throws<ModelException>(() => ModelStore.Open(path));
        Assert.Equal(2, StoreFixture.Verify(path).Problems.Count);
    }

    [Theory]
    [InlineData(WeightFormat.Int8, 0, new byte[] { 0 }, "gate panel 0: the weight in packed row 0, column 0 is -128")]
    [InlineData(WeightFormat.BFloat16, 0, new byte[] { 0x80, 0x7F }, "gate panel 0: the weight in packed row 0, column 0 is not finite")]
    [InlineData(WeightFormat.Float32, 4, new byte[] { 1, 0, 0xC0, 0xFF }, "gate panel 0: the weight in packed row 0, column 1 is not finite")]
    [InlineData(WeightFormat.Int8, -1, new byte[] { 0x7F }, "down scales: scale")]
    [InlineData(WeightFormat.Int4, 518, new byte[] { 0, 0x80 }, "gate panel 0: the scale of group 0, column 3 is -0")]
    [InlineData(WeightFormat.Int4, 576 + 512, new byte[] { 0x80, 0xFF }, "gate panel 0: the scale of group 1, column 0 is -")]
    public void A_bad_value_in_an_expert_is_found_though_all_hashes_agree(WeightFormat format, int position, byte[] bytes, string expected)
    {
        var path = _stores.Synthesise("s", 1, new StoreBuildOptions { Weights = format });
        var file = Path.Combine(path, "experts/layer-02-expert-1.bin");
        StoreFixture.Change(file, position >= 0 ? position : LastScale(path), [.. bytes, .. position >= 0 ? [] : (byte[])[0xFF]]);
        StoreFixture.Rehash(path);
        Assert.Contains($"{file}: block ", Assert.Single(StoreFixture.Verify(path).Problems));
        Assert.Contains(expected, StoreFixture.Verify(path).Problems[0]);
    }

    [Theory]
    [InlineData(WeightFormat.Int4)]
    [InlineData(WeightFormat.Int8)]
    [InlineData(WeightFormat.BFloat16)]
    [InlineData(WeightFormat.Float32)]
    public void Padding_that_is_not_zero_is_found_though_all_hashes_agree(WeightFormat format)
    {
        var path = _stores.Synthesise("s", 1, new StoreBuildOptions { Weights = format });
        using var store = ModelStore.Open(path);
        var last = store.ExpertLayout.Blocks[^1];
        Assert.Equal(24, last.Width);
        var column = 30 * (format.IsQuantised() ? 4 : format.ElementBits() / 8);
        StoreFixture.Change(Path.Combine(path, "experts/layer-00-expert-0.bin"), store.ExpertLayout.Bytes(0, store.ExpertLayout.Blocks.Count - 1) + column, 1);
        StoreFixture.Rehash(path);
        Assert.Contains("gate panel 0: the padding in packed row 0, column 30 is not zero", Assert.Single(StoreFixture.Verify(path).Problems));
    }

    [Fact]
    public void Bad_values_in_dense_tensors_are_found_tensor_by_tensor_though_all_hashes_agree()
    {
        var path = _stores.Import("tiny-b", "s");
        using (var store = ModelStore.Open(path))
        {
            var file = Path.Combine(path, "dense.bin");
            byte[] nan = [0, 0, 0xC0, 0x7F];
            StoreFixture.Change(file, store.DenseLayout.Plain(TensorRole.Router, 1).Offset + 8, nan);
            StoreFixture.Change(file, store.DenseLayout.Packed(TensorRole.Query, 0).Offset + 5, 0);
            StoreFixture.Change(file, store.DenseLayout.Packed(TensorRole.Embedding).ScalesOffset + 2, 0, 0);
        }
        StoreFixture.Rehash(path);
        var problems = StoreFixture.Verify(path).Problems;
        Assert.Equal(3, problems.Count);
        Assert.Contains("dense.bin: head: in the piece from byte 0: scale 1 is 0", problems[0]);
        Assert.Contains("dense.bin: layer-00.query: panel 0: the weight in packed row 1, column 1 is -128", problems[1]);
        Assert.Contains("dense.bin: layer-01.router: in the piece from byte 0: value 2 is NaN", problems[2]);
    }

    [Fact]
    public void A_tokenizer_of_another_vocabulary_is_found_though_its_hash_agrees()
    {
        var path = ImportWithTokenizer();
        var other = Vocabulary(511);
        File.WriteAllBytes(Path.Combine(path, "tokenizer.model"), other);
        StoreFixture.EditManifest(path, json =>
        {
            json["tokenizer"]!["bytes"] = other.Length;
            json["tokenizer"]!["sha256"] = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(other));
        });
        Assert.Contains("has 511 pieces, the model's vocabulary has 512", Assert.Single(StoreFixture.Verify(path).Problems));
    }

    [Fact]
    public void The_list_of_problems_is_bounded()
    {
        var path = _stores.Import("tiny-a", "s");
        for (var i = 0; i < 150; i++)
            File.WriteAllText(Path.Combine(path, $"experts/stranger-{i}"), "");
        var verified = StoreFixture.Verify(path);
        Assert.Equal((StoreVerifier.MaxProblems, 50), (verified.Problems.Count, verified.Unlisted));
    }

    [Fact]
    public void Verification_reports_its_progress_and_can_be_cancelled()
    {
        var path = _stores.Import("tiny-b", "s");
        var last = new StoreProgress();
        var verified = StoreVerifier.Verify(path, 1, new ImmediateProgress(progress => last = progress), CancellationToken.None);
        Assert.Equal(new StoreProgress(verified.Bytes, verified.Bytes), last);

        using var cancel = new CancellationTokenSource();
        var stop = new ImmediateProgress(progress => { if (progress.Done > 100_000) cancel.Cancel(); });
        Assert.ThrowsAny<OperationCanceledException>(() => StoreVerifier.Verify(path, 1, stop, cancel.Token));
    }

    [Fact]
    public void What_is_no_store_is_one_problem()
    {
        Assert.Contains("is not a model store", Assert.Single(StoreFixture.Verify(_stores.At("absent")).Problems));
        Assert.Contains("is not a model store", Assert.Single(StoreFixture.Verify("").Problems));
    }

    /// <summary>Bytes from the start of an expert's file to the last down scale of its first block.</summary>
    private static long LastScale(string path)
    {
        using var store = ModelStore.Open(path);
        var block = store.ExpertLayout.Blocks[0];
        return block.DownScales + block.Groups * 96 * 2 - 2;
    }

    private string ImportWithTokenizer()
    {
        using var source = new TemporaryCheckpoint();
        File.WriteAllBytes(Path.Combine(source.Path, "tokenizer.model"), Vocabulary(512));
        using var checkpoint = Ckpt0Checkpoint.Open(source.Path);
        return _stores.Import(checkpoint, "s");
    }

    private static byte[] Vocabulary(int size)
    {
        var model = new TestModel();
        for (var i = model.Pieces.Count + 256; i < size; i++)
            model.Add($"piece{i}", -i);
        return model.ToBytes();
    }
}
