using System.CommandLine;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cli.Verbs;

namespace Grok1Cluster.Cli.Options;

/// <summary>How the next token is chosen.</summary>
/// <param name="Temperature">0 is greedy.</param>
/// <param name="TopK">0 keeps every token.</param>
/// <param name="TopP">1 keeps every token.</param>
/// <param name="MinP">Share of the best token's probability below which a token is dropped; 0 keeps every token.</param>
/// <param name="RepetitionPenalty">1 is none.</param>
/// <param name="Seed">Null draws one.</param>
/// <param name="IgnoreEos">Goes on after the end-of-sequence token.</param>
internal sealed record SamplingSettings(
    int MaxTokens, double Temperature, int TopK, double TopP, double MinP, double RepetitionPenalty, ulong? Seed, bool IgnoreEos)
{
    /// <summary>As the engine takes them.</summary>
    public Engine.Sampling.SamplingOptions ToEngine() => new()
    {
        Temperature = (float)Temperature, TopK = TopK, TopP = (float)TopP, MinP = (float)MinP, RepetitionPenalty = (float)RepetitionPenalty, Seed = Seed,
    };
}

/// <summary>The sampling flags, the same on every verb that generates.</summary>
internal sealed class SamplingOptions
{
    private readonly SettingOption<int> _maxTokens = new(
        "--max-tokens", "sampling:max_tokens", TextFormats.Count(1), 128, "tokens to generate at most");

    private readonly SettingOption<double> _temperature = new(
        "--temperature", "sampling:temperature", TextFormats.Real(0, 100), 0.7, "0 is greedy");

    private readonly SettingOption<int> _topK = new(
        "--top-k", "sampling:top_k", TextFormats.Count(0), 0, "keep the K likeliest tokens; 0 keeps all");

    private readonly SettingOption<double> _topP = new(
        "--top-p", "sampling:top_p", TextFormats.Share, 1, "keep the likeliest tokens up to this share; 1 keeps all");

    private readonly SettingOption<double> _minP = new(
        "--min-p", "sampling:min_p", TextFormats.Real(0, 1), 0, "drop tokens below this share of the best one's probability");

    private readonly SettingOption<double> _repetitionPenalty = new(
        "--repetition-penalty", "sampling:repetition_penalty", TextFormats.Real(0.01, 100), 1, "above 1 makes tokens that occurred less likely");

    private readonly SettingOption<ulong?> _seed = new(
        "--seed", "sampling:seed", TextFormats.Optional(TextFormats.Seed), null, "makes sampling repeatable (default: drawn)");

    private readonly SettingOption<bool> _ignoreEos = new(
        "--ignore-eos", "sampling:ignore_eos", TextFormats.Flag, false, "go on after the end-of-sequence token");

    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _maxTokens, _temperature, _topK, _topP, _minP, _repetitionPenalty, _seed, _ignoreEos })
            command.Add(option);
    }

    public SamplingSettings Read(VerbContext context) => new(
        context.Get(_maxTokens), context.Get(_temperature), context.Get(_topK), context.Get(_topP),
        context.Get(_minP), context.Get(_repetitionPenalty), context.Get(_seed), context.Get(_ignoreEos));
}
