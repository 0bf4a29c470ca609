namespace Grok1Cluster.Cuda.Bench;

/// <summary>How far results of the device are from those of the CPU, gathered over calls.</summary>
internal sealed class Difference
{
    private double _worst;
    private long _differing, _total;

    public void Add(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        var squares = 0.0;
        foreach (var value in expected)
            squares += (double)value * value;
        var rms = Math.Sqrt(squares / expected.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            if (BitConverter.SingleToInt32Bits(expected[i]) != BitConverter.SingleToInt32Bits(actual[i]))
                _differing++;
            var error = Math.Abs((double)expected[i] - actual[i]) / rms;
            // NaN compares with nothing and must not pass.
            _worst = error <= _worst ? _worst : double.IsNaN(error) ? double.PositiveInfinity : error;
        }
        _total += expected.Length;
    }

    /// <summary>Writes a line.</summary>
    /// <returns>Whether the worst is within the tolerance.</returns>
    public bool Report(string what, double tolerance)
    {
        var passed = _worst <= tolerance;
        Console.WriteLine($"{(passed ? _differing == 0 ? "same bits" : "rounding " : "WRONG    ")} {what}: {_differing} of {_total} values differ, largest error {_worst:E1} of the RMS");
        return passed;
    }
}
