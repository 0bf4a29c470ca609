using System.ComponentModel.DataAnnotations;

namespace Grok1Cluster.Coordinator.Http.Limits;

/// <summary>The most that one request, and one key, may ask for. Queue length is the engine's: <see cref="Engine.Scheduling.EngineOptions.MaxWaiting"/>.</summary>
public sealed record ApiLimits
{
    /// <summary>Bytes of a body. Default 16 MiB.</summary>
    [Range(1 << 10, 1 << 30)]
    public int BodyBytes { get; init; } = 16 << 20;

    /// <summary>Nested arrays and objects of a body. Default 16.</summary>
    [Range(4, 64)]
    public int JsonDepth { get; init; } = 16;

    /// <summary>Prompts of a request. Default 128.</summary>
    [Range(1, 4096)]
    public int Prompts { get; init; } = 128;

    /// <summary>Choices for each prompt (<c>n</c>). Default 16.</summary>
    [Range(1, 128)]
    public int Choices { get; init; } = 16;

    /// <summary>Tokens to generate for each choice; null, the default: what the model's context holds.</summary>
    [Range(1, int.MaxValue)]
    public int? Tokens { get; init; }

    /// <summary>Likeliest tokens to tell beside each token (<c>logprobs</c>). Default 20.</summary>
    [Range(0, 100)]
    public int Logprobs { get; init; } = 20;

    /// <summary>Stop strings, and stop tokens. Default 16.</summary>
    [Range(0, 256)]
    public int Stops { get; init; } = 16;

    /// <summary>UTF-16 units of a stop string. Default 256.</summary>
    [Range(1, 4096)]
    public int StopLength { get; init; } = 256;

    /// <summary>Entries of <c>logit_bias</c>. Default 1024.</summary>
    [Range(0, 65_536)]
    public int LogitBiases { get; init; } = 1024;

    /// <summary>Messages of a chat. Default 256.</summary>
    [Range(1, 4096)]
    public int Messages { get; init; } = 256;

    /// <summary>Requests a minute for each key, or each address where no keys are configured; 0, the default: no limit.</summary>
    [Range(0, 1_000_000)]
    public int RequestsPerMinute { get; init; }
}
