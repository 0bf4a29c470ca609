using System.Diagnostics;

namespace Grok1Cluster.Coordinator.Bench;

/// <summary>
/// Looks at the engine's steps from inside: when each began, its rows, the distinct experts of its layers. It listens to the
/// router, on the engine's thread, so it sees a step however the step is divided. Not for concurrent use.
/// </summary>
internal sealed class StepTimer
{
    /// <summary>Steps in which all sequences decode that are not timed: sequences still join, caches fill.</summary>
    public const int SettlingSteps = 4;

    private readonly bool[,] _touched;
    private readonly int _expertsPerToken;
    private readonly HashSet<(int Layer, int Expert)> _ever = [];
    private readonly List<(long Start, int Touched)> _steps = [];
    private TaskCompletionSource _enough = new();
    private Action? _began;
    private int _lastLayer = -1;
    private int _rows;
    private int _touchedInStep;
    private int _wantedRows;
    private int _wantedSteps;
    private int _settled;

    /// <param name="layers">LayerCount.</param>
    /// <param name="experts">ExpertCount.</param>
    /// <param name="expertsPerToken">Experts of a row.</param>
    public StepTimer(int layers, int experts, int expertsPerToken) => (_touched, _expertsPerToken) = (new bool[layers, experts], expertsPerToken);

    /// <summary>Pairs of layer and expert that had a row since the last <see cref="Watch"/>.</summary>
    public int TouchedEver => _ever.Count;

    /// <summary>Starts again: waits for steps of a number of rows that follow each other without another between them.</summary>
    /// <param name="rows">Rows of a step that counts; 0 counts none.</param>
    /// <param name="steps">Steps to time.</param>
    /// <param name="began">Told when the timed steps begin.</param>
    /// <returns>Completes when that many steps were seen.</returns>
    public Task Watch(int rows, int steps, Action? began)
    {
        (_wantedRows, _wantedSteps, _began) = (rows, steps, began);
        _enough = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _ever.Clear();
        BeginStep();
        Restart();
        return _enough.Task;
    }

    /// <summary>Rows a second of the timed steps; how long each took, in milliseconds; experts touched in each, all layers.</summary>
    public (double RowsPerSecond, double[] StepMilliseconds, double TouchedPerStep) Result()
    {
        var times = new double[_wantedSteps];
        for (var i = 0; i < times.Length; i++)
            times[i] = Stopwatch.GetElapsedTime(_steps[i].Start, _steps[i + 1].Start).TotalMilliseconds;
        var seconds = Stopwatch.GetElapsedTime(_steps[0].Start, _steps[_wantedSteps].Start).TotalSeconds;
        return (_wantedRows * _wantedSteps / seconds, times, _steps.Take(_wantedSteps).Average(step => step.Touched));
    }

    /// <summary>For <c>ForwardPass.Routed</c>.</summary>
    public void Routed(int layer, ReadOnlyMemory<int> chosen)
    {
        // A part of a step comes with the same layer again, or with the next one; only a step begins at layer 0 from elsewhere.
        if (layer == 0 && (_lastLayer != 0 || _touched.GetLength(0) == 1))
            EndStep();
        _lastLayer = layer;
        if (layer == 0)
            _rows += chosen.Length / _expertsPerToken;
        foreach (var expert in chosen.Span)
        {
            if (_touched[layer, expert])
                continue;
            _touched[layer, expert] = true;
            _touchedInStep++;
            _ever.Add((layer, expert));
        }
    }

    /// <summary>The step before this moment is complete: keeps it if it has the rows that are watched for.</summary>
    private void EndStep()
    {
        var now = Stopwatch.GetTimestamp();
        if (_wantedRows > 0 && !_enough.Task.IsCompleted)
        {
            if (_rows != _wantedRows)
                Restart();
            else if (_settled < SettlingSteps)
                _settled++;
            else
                _steps[^1] = _steps[^1] with { Touched = _touchedInStep };
            if (_settled == SettlingSteps)
            {
                if (_steps.Count == 0)
                    _began?.Invoke();
                _steps.Add((now, 0));
                // The last entry only says when the step before it ended.
                if (_steps.Count == _wantedSteps + 1)
                    _enough.TrySetResult();
            }
        }
        BeginStep();
    }

    private void BeginStep()
    {
        Array.Clear(_touched);
        (_rows, _touchedInStep, _lastLayer) = (0, 0, -1);
    }

    private void Restart()
    {
        _settled = 0;
        _steps.Clear();
    }
}
