using Polly;
using Polly.CircuitBreaker;

namespace Grok1Cluster.Coordinator.Workers.Health;

/// <summary>
/// The circuit breaker of one worker: opens after several wrong answers within a while, lets a probe through after a pause
/// that grows, and closes when the probe is sound. Sound answers of a closed circuit never come here, so the hot path does
/// not. Polly keeps the window, the states and the pauses. Thread-safe.
/// </summary>
internal sealed class FaultBreaker
{
    /// <summary>Wrong answers that open it, and the time within which they come.</summary>
    private const int Faults = 3;

    private static readonly TimeSpan Window = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan ShortestPause = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(1);

    private readonly CircuitBreakerStateProvider _state = new();
    private readonly ResiliencePipeline<bool> _pipeline;
    private readonly TimeProvider _time;
    private long _probeFrom;

    public FaultBreaker(TimeProvider time)
    {
        _time = time;
        _pipeline = new ResiliencePipelineBuilder<bool> { TimeProvider = time }.AddCircuitBreaker(new CircuitBreakerStrategyOptions<bool>
        {
            // Only wrong answers are reported while it is closed: all of them are, so it is their number that counts.
            FailureRatio = 1, MinimumThroughput = Faults, SamplingDuration = Window,
            ShouldHandle = static sound => ValueTask.FromResult(sound.Outcome is { Exception: null, Result: false }),
            BreakDurationGenerator = static opened => ValueTask.FromResult(Pause(opened.HalfOpenAttempts)),
            StateProvider = _state,
            OnOpened = opened =>
            {
                _probeFrom = time.GetTimestamp() + (long)(opened.BreakDuration.TotalSeconds * time.TimestampFrequency);
                return ValueTask.CompletedTask;
            },
        }).Build();
    }

    /// <summary>Whether answers are not counted on.</summary>
    public bool IsOpen => _state.CircuitState is CircuitState.Open or CircuitState.HalfOpen;

    /// <summary>Whether it is open and the pause is over.</summary>
    public bool IsProbeDue => IsOpen && _time.GetTimestamp() >= _probeFrom;

    /// <summary>An answer came; of sound ones only those of an open circuit matter.</summary>
    public void Record(bool sound)
    {
        if (IsOpen ? !IsProbeDue : sound)
            return;
        try
        {
            _pipeline.Execute(static result => result, sound);
        }
        catch (BrokenCircuitException)
        {
            // The pause is over by this clock and not yet by the other: the next answer counts.
        }
    }

    private static TimeSpan Pause(int failedProbes)
    {
        var pause = ShortestPause * Math.Pow(2, Math.Min(failedProbes, 16));
        return pause < LongestPause ? pause : LongestPause;
    }
}
