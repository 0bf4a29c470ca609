using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Kernels.Cuda.Tests.Kernels;

/// <summary>Attention, router, residual stream and head, emulated, against the CPU's: the same bits.</summary>
public sealed class DenseLayersTests
{
    // Groups of 3, 6 (Grok-1's) and 12 query heads; heads that fill no panel, one, and more than one; a model of several layers.
    private static readonly Grok1Config[] Models = [Model(176, 6, 2, 24, layers: 2), Model(256, 6, 1, 32), Model(72, 12, 1, 40)];

    public static TheoryData<int, bool, KvFormat, int> Batches()
    {
        var data = new TheoryData<int, bool, KvFormat, int>();
        for (var model = 0; model < Models.Length; model++)
            foreach (var exact in (bool[])[true, false])
                foreach (var format in Enum.GetValues<KvFormat>())
                    data.Add(model, exact, format, (model + (int)format) % 3);
        return data;
    }

    [EmulatedTheory]
    [MemberData(nameof(Batches))]
    public void Prefill_and_decode_in_any_batch_have_the_bits_of_the_CPU(int model, bool exact, KvFormat format, int order)
    {
        using var lab = new LayersLab(Models[model], exact, format, order);
        lab.Step((0, 37), (1, 3));
        lab.Step((0, 1), (1, 1));
        lab.Step((1, 30), (2, 5), (0, 1));
        lab.Step((0, 1));
    }

    [EmulatedTheory]
    [InlineData(800)]
    [InlineData(1024)]
    public void Rows_with_outliers_have_the_bits_of_the_CPU(int embeddingDim)
    {
        using var lab = new LayersLab(Model(embeddingDim, 6, 1, 64, layers: 3), exact: false, KvFormat.Bf16, order: 1) { AnswersHaveOutliers = true };
        lab.Step((0, 37), (1, 3));
        lab.Step((0, 1));
        lab.Step((0, 1), (1, 6), (2, 4));
        Assert.True(lab.Outliers > 10, $"{lab.Outliers} outliers");
    }

    [EmulatedTheory]
    [InlineData(true, KvFormat.Float32)]
    [InlineData(false, KvFormat.Bf16)]
    [InlineData(false, KvFormat.Int8)]
    public void Long_contexts_are_split_and_merged_to_the_bits_of_the_CPU(bool exact, KvFormat format)
    {
        using var lab = new LayersLab(Model(64, 3, 1, 8), exact, format, order: 1);
        lab.Remember(0, 1023);
        lab.Remember(1, 1100);
        Assert.False(lab.Device.Launches.ContainsKey("attention_merge"));
        // Within one split; over the edge, the first row of the run on this side of it; two splits, and many rows that take both in one block.
        lab.Step((0, 1));
        Assert.False(lab.Device.Launches.ContainsKey("attention_merge"));
        lab.Step((0, 1), (1, 1));
        Assert.Equal(1, lab.Device.Launches["attention_merge"]);
        lab.Step((0, 4), (1, 40));
        lab.Step((1, 12));
    }

    [EmulatedTheory]
    [InlineData(true, WeightFormat.Int8)]
    [InlineData(false, WeightFormat.Int8)]
    [InlineData(false, WeightFormat.Int4)]
    public void Batches_that_take_turns_have_residual_streams_of_their_own(bool exact, WeightFormat weights)
    {
        using var lab = new LayersLab(Models[0], exact, KvFormat.Float32, order: 2, weights);
        lab.StepInTurns([(0, 1), (1, 2)], [(2, 36)]);
        lab.StepInTurns([(0, 1)], [(1, 1)]);
        // A stream that grows moves, and what the other has is left alone.
        lab.StepInTurns([(0, 40), (1, 1)], [(2, 1)]);
        lab.Step((2, 1));
    }

    [EmulatedFact]
    public void A_layer_takes_one_copy_there_and_one_back()
    {
        using var lab = new LayersLab(Models[0], exact: false, KvFormat.Bf16);
        lab.Step((0, 40));
        var (there, back) = (lab.Device.CopiesToDevice, lab.Device.CopiesToHost);
        lab.Step((0, 34));
        // What the step begins with, the answers of two layers of experts, and the addresses of the head's rows, 32 at a time.
        Assert.Equal(1 + 2 + 2, lab.Device.CopiesToDevice - there);
        // For the experts of two layers, and logits.
        Assert.Equal(2 + 2, lab.Device.CopiesToHost - back);
    }

    [EmulatedFact]
    public void Steps_of_one_size_share_a_recorded_graph_of_each_layer()
    {
        using var lab = new LayersLab(Models[0], exact: false, KvFormat.Bf16);
        lab.Step((0, 1), (1, 1), (2, 1));
        Assert.Equal(2, lab.Device.Captures);
        for (var repeat = 0; repeat < 3; repeat++)
            lab.Step([.. Enumerable.Range(0, 3 + repeat % 2).Select(sequence => (sequence, 1))]);
        Assert.Equal(2, lab.Device.Captures);
        lab.Step((0, 1), (1, 1));
        Assert.Equal(4, lab.Device.Captures);
        // A buffer that grows moves, and what was recorded is recorded again.
        lab.Step((4, 40));
        lab.Step((0, 1), (1, 1));
        Assert.Equal(6, lab.Device.Captures);
    }

    private static Grok1Config Model(int embeddingDim, int queryHeads, int kvHeads, int headDim, int layers = 1) => new()
    {
        EmbeddingDim = embeddingDim, FeedForwardDim = 32, LayerCount = layers, QueryHeadCount = queryHeads, KeyValueHeadCount = kvHeads, HeadDim = headDim,
        ExpertCount = 5, ExpertsPerToken = 2, VocabularySize = 64, MaxSequenceLength = 2048,
    };
}
