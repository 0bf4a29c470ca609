using System.Diagnostics;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Checkpoints;

public sealed class Ckpt0CheckpointTests : IDisposable
{
    private readonly TemporaryCheckpoint _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData("tiny-a")]
    [InlineData("tiny-b")]
    public void Every_tensor_has_the_shape_and_sound_values_the_config_promises(string name)
    {
        using var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, name));

        for (var layer = 0; layer < checkpoint.Config.LayerCount; layer++)
            foreach (var role in Enum.GetValues<TensorRole>())
            {
                using var tensor = checkpoint.Open(role, layer);
                Assert.Equal(role.Shape(checkpoint.Config), tensor.Shape);
                Assert.Equal(role.IsQuantized() ? SourceFormat.Int8Scaled : SourceFormat.Float32, tensor.Format);
                var groups = role switch { TensorRole.ExpertDown or TensorRole.AttentionOutput => 8, _ when role.IsQuantized() => 1, _ => 0 };
                Assert.Equal(groups, tensor.ScaleGroups);
                Assert.Equal(tensor.ValueCount * (role.IsQuantized() ? 1 : 4), tensor.ValueBytes);
                tensor.CheckValues();
            }
    }

    [Fact]
    public void Layers_lie_in_the_order_of_their_names_as_strings()
    {
        using var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, "tiny-a"));

        int[] order = [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9];
        TensorRole[] roles =
        [
            TensorRole.ExpertGate, TensorRole.ExpertDown, TensorRole.ExpertUp, TensorRole.Key, TensorRole.AttentionOutput, TensorRole.Query,
            TensorRole.Value, TensorRole.PreAttentionNorm, TensorRole.PostAttentionNorm, TensorRole.PreMoeNorm, TensorRole.PostMoeNorm, TensorRole.Router,
        ];
        for (var number = 2; number < 2 + 12 * 12; number++)
        {
            using var tensor = checkpoint.Open(roles[(number - 2) % 12], order[(number - 2) / 12]);
            Assert.Equal($"tensor{number:D5}_000", Path.GetFileName(tensor.File));
        }
        using var embedding = checkpoint.Open(TensorRole.Embedding, layer: -1);
        using var norm = checkpoint.Open(TensorRole.FinalNorm, layer: 99);
        Assert.EndsWith("tensor00000_000", embedding.File);
        Assert.EndsWith("tensor00001_000", norm.File);
    }

    [Fact]
    public void All_source_files_are_listed()
    {
        File.WriteAllText(Path.Combine(_tiny.Path, "tokenizer.model"), "x");
        using var checkpoint = Ckpt0Checkpoint.Open(_tiny.Path);

        Assert.Equal(Path.Combine(_tiny.Path, "tokenizer.model"), checkpoint.TokenizerPath);
        Assert.Equal(28, checkpoint.Files.Count);
        Assert.All(checkpoint.Files, file => Assert.True(File.Exists(file)));
        Assert.Equal(28, checkpoint.Files.Distinct().Count());
    }

    [Fact]
    public void The_folder_itself_can_be_named_and_files_can_be_links()
    {
        var elsewhere = Path.Combine(_tiny.Path, "blob");
        File.Move(_tiny.Tensor(4), elsewhere);
        File.CreateSymbolicLink(_tiny.Tensor(4), elsewhere);

        using var checkpoint = Ckpt0Checkpoint.Open(_tiny.Tensors + "/");

        Assert.Equal(96, checkpoint.Config.EmbeddingDim);
        Assert.Null(checkpoint.TokenizerPath);
        Assert.True(Ckpt0Checkpoint.IsAt(_tiny.Path));
        Assert.False(Ckpt0Checkpoint.IsAt(Repository.TestData));
    }

    [Fact]
    public void A_tensor_outlives_its_checkpoint_but_not_its_own_disposal()
    {
        SourceTensor tensor;
        using (var checkpoint = Ckpt0Checkpoint.Open(_tiny.Path))
            tensor = checkpoint.Open(TensorRole.Key, 1);
        tensor.CheckValues();

        tensor.Dispose();
        tensor.Dispose();
        Assert.Throws<ObjectDisposedException>(() => tensor.CheckValues());
    }

    [Fact]
    public void Without_a_config_the_official_geometry_is_assumed()
    {
        File.Delete(_tiny.ConfigPath);
        AssertRefused("has 770 tensor files", "missing: tensor00026_000, tensor00027_000", "and 739 more");
    }

    [Fact]
    public void Missing_and_unexpected_files_are_named()
    {
        File.Move(_tiny.Tensor(7), _tiny.Tensor(26));
        File.WriteAllText(_tiny.Tensor(3) + ".part", "");
        File.WriteAllText(Path.Combine(_tiny.Tensors, "README"), "other files do not matter");
        AssertRefused("2 layers has 26 tensor files", "missing: tensor00007_000", "unexpected: tensor00003_000.part, tensor00026_000");
    }

    [Fact]
    public void What_is_no_checkpoint_is_refused()
    {
        foreach (var path in (string[])[Path.GetTempPath(), Path.Combine(_tiny.Path, "absent"), _tiny.ConfigPath, ""])
            Assert.Contains("no ckpt-0 folder", Assert.Throws<ModelException>(() => Ckpt0Checkpoint.Open(path)).Message);
    }

    [Fact]
    public void Negative_sizes_in_the_config_are_refused()
    {
        _tiny.Configure("num_hidden_layers", -2);
        _tiny.Configure("hidden_size", -96);
        AssertRefused("config.json: ", "EmbeddingDim (hidden_size) is -96", "LayerCount (num_hidden_layers) is -2");
    }

    [Fact]
    public void An_empty_file_a_folder_and_a_pipe_are_refused_without_waiting()
    {
        File.WriteAllBytes(_tiny.Tensor(3), []);
        AssertRefused("tensor00003_000: is empty");

        File.Delete(_tiny.Tensor(2));
        Directory.CreateDirectory(_tiny.Tensor(2));
        AssertRefused("tensor00002_000: is a directory");

        File.Delete(_tiny.Tensor(1));
        using (var mkfifo = Process.Start("mkfifo", _tiny.Tensor(1)))
            mkfifo.WaitForExit();
        AssertRefused("tensor00001_000: is empty");
    }

    [Fact]
    public void A_file_cut_short_is_refused()
    {
        using (var file = File.OpenWrite(_tiny.Tensor(2)))
            file.SetLength(file.Length / 2);
        AssertRefused("tensor00002_000", "past the end of the file");
    }

    [Fact]
    public void A_pickle_that_calls_the_system_is_refused_and_does_nothing()
    {
        var proof = Path.Combine(_tiny.Path, "owned");
        _tiny.Replace(5, new PickleBuilder().Global("posix", "system").Text($"touch {proof}").Raw(0x85).Op('R'));
        AssertRefused("tensor00005_000", "the global posix.system");
        Assert.False(File.Exists(proof));
    }

    [Fact]
    public void Exchanged_files_of_another_shape_or_type_are_refused_with_both()
    {
        File.Copy(_tiny.Tensor(3), _tiny.Tensor(2), overwrite: true);
        AssertRefused("tensor00002_000: ExpertGate of layer 0: shape [4, 256, 96] where the config says [4, 96, 256]");

        File.Copy(_tiny.Tensor(9), _tiny.Tensor(2), overwrite: true);
        AssertRefused("ExpertGate of layer 0: an array of Float32 where int8 weights with bfloat16 scales are expected");

        File.Copy(_tiny.Tensor(3), _tiny.Tensor(1), overwrite: true);
        AssertRefused("FinalNorm: a quantised pair of Int8 and BFloat16 where a float32 array is expected");

        _tiny.Replace(1, new PickleBuilder().Array([96], p => p.DType("i1", "|"), new byte[96]));
        AssertRefused("FinalNorm: an array of Int8 where a float32 array is expected");
    }

    [Fact]
    public void A_config_of_another_geometry_is_refused_with_both_shapes()
    {
        _tiny.Configure("vocab_size", 500);
        AssertRefused("Embedding: shape [512, 96] where the config says [500, 96]");
    }

    [Theory]
    [InlineData(new long[] { 5, 96 })]
    [InlineData(new long[] { 8, 95 })]
    [InlineData(new long[] { 192, 96 })]
    [InlineData(new long[] { 96 })]
    [InlineData(new long[] { 1, 8, 96 })]
    public void Scales_that_do_not_fit_are_refused_with_both_shapes(long[] scaleShape)
    {
        var scales = new ushort[scaleShape.Aggregate((a, b) => a * b)];
        _tiny.Replace(6, new PickleBuilder().Quantized([96, 96], new sbyte[96 * 96], scaleShape, scales));
        AssertRefused("AttentionOutput of layer 0: scales of shape [", "of shape [96, 96]");
    }

    [Fact]
    public void Gate_and_up_must_have_equal_groups()
    {
        _tiny.Replace(4, new PickleBuilder().Quantized([4, 96, 256], new sbyte[4 * 96 * 256], [4, 8, 256], new ushort[4 * 8 * 256]));
        AssertRefused("ExpertUp of layer 0: 8 scale groups where ExpertGate of layer 0 has 1");
    }

    private void AssertRefused(params string[] expected)
    {
        var error = Assert.Throws<ModelException>(() => Ckpt0Checkpoint.Open(_tiny.Path));
        Assert.All(expected, part => Assert.Contains(part, error.Message));
        Assert.DoesNotContain('\n', error.Message);
    }
}
