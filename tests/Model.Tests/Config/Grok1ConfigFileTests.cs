using System.Text;
using System.Text.Json.Nodes;
using Grok1Cluster.Model.Config;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Config;

public sealed class Grok1ConfigFileTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void A_tracked_config_is_read_as_it_is_written()
    {
        var config = Grok1ConfigFile.Load(Path.Combine(Repository.TestData, "tiny-b", "config.json"));

        Assert.Equal(
            new Grok1Config
            {
                EmbeddingDim = 96,
                FeedForwardDim = 256,
                LayerCount = 2,
                QueryHeadCount = 3,
                KeyValueHeadCount = 3,
                HeadDim = 32,
                ExpertCount = 4,
                ExpertsPerToken = 2,
                VocabularySize = 512,
                MaxSequenceLength = 512,
                EmbeddingMultiplier = 9.797958971132712f,
                OutputMultiplier = 0.5773502691896257f,
                AttentionMultiplier = 0.17677669529663687f,
            },
            config);
    }

    [Fact]
    public void The_official_defaults_satisfy_the_rules() => Grok1ConfigRules.Check(new Grok1Config(), "defaults");

    [Fact]
    public void Head_dim_wins_over_the_quotient() => Assert.Equal(48, Load(json => json["head_dim"] = 48).HeadDim);

    [Fact]
    public void The_other_spelling_of_the_expert_count_is_known()
    {
        var config = Load(json =>
        {
            json.Remove("num_experts");
            json["num_local_experts"] = 16;
        });
        Assert.Equal(16, config.ExpertCount);
    }

    [Fact]
    public void What_files_commonly_leave_out_is_that_of_the_release()
    {
        var config = Load(json =>
        {
            foreach (var key in (string[])["max_attn_value", "rms_norm_eps", "rope_theta", "bos_token_id"])
                json.Remove(key);
            json["pad_token_id"] = null;
        });
        Assert.Equal((30f, 1e-5f, 10000f, 1, 0), (config.AttentionSoftCap, config.RmsNormEpsilon, config.RopeTheta, config.BosToken, config.PadToken));
    }

    [Theory]
    [InlineData("hidden_size", "-64", "hidden_size")]
    [InlineData("hidden_size", "0", "1 to 65536")]
    [InlineData("hidden_size", "63", "no multiple of num_attention_heads 2")]
    [InlineData("hidden_size", "66", "HeadDim (head_dim) is 33, it must be even")]
    [InlineData("intermediate_size", "1048577", "1 to 1048576")]
    [InlineData("num_hidden_layers", "2000000000", "1 to 1024")]
    [InlineData("num_hidden_layers", "99999999999999999999", "must be an integer of 32 bits")]
    [InlineData("num_hidden_layers", "1.5", "must be an integer")]
    [InlineData("num_hidden_layers", "\"12\"", "must be an integer")]
    [InlineData("num_hidden_layers", "[[1]]", "must be an integer")]
    [InlineData("num_attention_heads", "-1", "num_attention_heads")]
    [InlineData("num_key_value_heads", "4", "no multiple of KeyValueHeadCount")]
    [InlineData("num_experts", "-8", "num_experts")]
    [InlineData("num_experts", "1", "ExpertsPerToken (num_experts_per_tok) is 2, more than")]
    [InlineData("num_local_experts", "9", "num_experts and num_local_experts disagree")]
    [InlineData("head_dim", "-2", "HeadDim (head_dim) is -2")]
    [InlineData("head_dim", "31", "must be even")]
    [InlineData("vocab_size", "-1", "vocab_size")]
    [InlineData("max_position_embeddings", "-512", "max_position_embeddings")]
    [InlineData("rope_theta", "0", "rope_theta")]
    [InlineData("rope_theta", "1e999", "positive, finite")]
    [InlineData("rms_norm_eps", "-1e-5", "positive, finite")]
    [InlineData("rms_norm_eps", "1e-60", "positive, finite")]
    [InlineData("attn_output_multiplier", "1e39", "positive, finite")]
    [InlineData("attn_output_multiplier", "true", "must be a number")]
    [InlineData("attn_output_multiplier", "NaN", "not valid JSON")]
    [InlineData("attn_output_multiplier", "null", "attn_output_multiplier is missing")]
    [InlineData("eos_token_id", "300", "outside the vocabulary of 300")]
    [InlineData("bos_token_id", "-1", "outside the vocabulary")]
    [InlineData("eos_token_id", "[1, 2]", "eos_token_id")]
    public void A_bad_value_is_refused_with_its_key(string key, string value, string expected) =>
        AssertRefused(Encoding.UTF8.GetBytes(With(key, value)), expected);

    [Theory]
    [InlineData("hidden_size")]
    [InlineData("intermediate_size")]
    [InlineData("num_hidden_layers")]
    [InlineData("num_attention_heads")]
    [InlineData("num_key_value_heads")]
    [InlineData("num_experts")]
    [InlineData("num_experts_per_tok")]
    [InlineData("vocab_size")]
    [InlineData("max_position_embeddings")]
    [InlineData("attn_output_multiplier")]
    [InlineData("embedding_multiplier_scale")]
    [InlineData("output_multiplier_scale")]
    public void A_missing_key_is_named(string key)
    {
        var json = Sound();
        json.Remove(key);
        AssertRefused(Encoding.UTF8.GetBytes(json.ToJsonString()), $"{key}");
    }

    [Fact]
    public void All_errors_come_at_once()
    {
        var json = Sound();
        json["num_hidden_layers"] = -1;
        json["rope_theta"] = -1;
        json["num_experts"] = "eight";
        json.Remove("vocab_size");

        var message = AssertRefused(Encoding.UTF8.GetBytes(json.ToJsonString()), "num_hidden_layers");
        Assert.Contains("rope_theta", message);
        Assert.Contains("num_experts is \"eight\"", message);
        Assert.Contains("vocab_size is missing", message);
        Assert.DoesNotContain("num_experts_per_tok", message);
    }

    [Fact]
    public void What_is_no_object_of_a_sensible_size_is_refused()
    {
        AssertRefused("[1, 2]"u8, "a JSON object is expected");
        AssertRefused(""u8, "empty");
        AssertRefused("{\"vocab_size\": 1"u8, "not valid JSON");
        AssertRefused("{\"vocab_size\": 1, \"vocab_size\": 2}"u8, "not valid JSON");
        AssertRefused([.. "{\"hidden_size\": \""u8, 0xFF, .. "\"}"u8], "not UTF-8");
        AssertRefused("{\"vocab_size\": \"\\ud800\", \"\\udfff\": 1, \"vocab_si\\u007ae\": 1}"u8, "not valid JSON");
        AssertRefused(Enumerable.Repeat((byte)'[', 500_000).ToArray(), "not valid JSON");
        AssertRefused(new byte[2 << 20], "too many");
        Assert.Contains("no such file", Assert.Throws<ModelException>(() => Grok1ConfigFile.Load(_path + ".absent")).Message);
        Assert.Contains("directory", Assert.Throws<ModelException>(() => Grok1ConfigFile.Load(Path.GetTempPath())).Message);
    }

    [Fact]
    public void A_config_made_in_code_is_held_to_the_same_rules()
    {
        var error = Assert.Throws<ModelException>(() => Grok1ConfigRules.Check(
            new Grok1Config { ExpertsPerToken = 9, HeadDim = 127, RopeTheta = float.NaN }, "synth"));
        Assert.StartsWith("synth: ", error.Message);
        Assert.Contains("ExpertsPerToken", error.Message);
        Assert.Contains("HeadDim", error.Message);
        Assert.Contains("RopeTheta (rope_theta) is NaN", error.Message);
    }

    private static JsonObject Sound() =>
        JsonNode.Parse(File.ReadAllBytes(Path.Combine(Repository.TestData, "tiny-a", "config.json")))!.AsObject();

    private static string With(string key, string value)
    {
        var json = Sound();
        json[key] = "placeholder";
        return json.ToJsonString().Replace("\"placeholder\"", value);
    }

    private Grok1Config Load(Action<JsonObject> change)
    {
        var json = Sound();
        change(json);
        File.WriteAllText(_path, json.ToJsonString());
        return Grok1ConfigFile.Load(_path);
    }

    private string AssertRefused(ReadOnlySpan<byte> content, string expected)
    {
        File.WriteAllBytes(_path, content);
        var error = Assert.Throws<ModelException>(() => Grok1ConfigFile.Load(_path));
        Assert.StartsWith(_path, error.Message);
        Assert.Contains(expected, error.Message);
        Assert.DoesNotContain('\n', error.Message);
        return error.Message;
    }
}
