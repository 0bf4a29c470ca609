using System.ComponentModel.DataAnnotations;

namespace Grok1Cluster.Engine.Scheduling;

/// <summary>How the engine shares a step among sequences.</summary>
public sealed record EngineOptions
{
    /// <summary>Time that a step should take at most while sequences decode: prefill is cut so that they go on. Default 250 ms.</summary>
    [Range(1, 60_000)]
    public int StepMilliseconds { get; init; } = 250;

    /// <summary>
    /// Time that a step should take at most while none decodes. Nobody waits for a token then but who comes, and a step reads all experts
    /// however few its rows are, so longer steps read them less often. Default 1500 ms.
    /// </summary>
    [Range(1, 60_000)]
    public int PrefillStepMilliseconds { get; init; } = 1500;

    /// <summary>Most rows of a step. Default 1024.</summary>
    [Range(1, 65_536)]
    public int MaxRows { get; init; } = 1024;

    /// <summary>Most sequences that run at a time. Default 64.</summary>
    [Range(1, 4096)]
    public int MaxRunning { get; init; } = 64;

    /// <summary>Most sequences that wait; more are refused. Default 256.</summary>
    [Range(1, 65_536)]
    public int MaxWaiting { get; init; } = 256;

    /// <summary>Most tokens that a step guesses for a sequence from its own text (prompt lookup). Default 0: none.</summary>
    [Range(0, 32)]
    public int DraftTokens { get; init; }

    /// <summary>Told what happens; null: nobody.</summary>
    public IEngineObserver? Observer { get; init; }

    /// <summary>Told why a step failed, on the engine's thread: it must be quick and must not throw; null: nobody.</summary>
    public Action<Exception>? StepFailed { get; init; }
}
