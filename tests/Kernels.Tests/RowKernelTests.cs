using Grok1Cluster.Kernels.Ops;

namespace Grok1Cluster.Kernels.Tests;

/// <summary>RmsNorm, RoPE, softmax and gelu: each against its scalar twin bit for bit, and against double precision.</summary>
public class RowKernelTests
{
    private const float Epsilon = 1e-5f;

    [Fact]
    public void Every_kernel_has_the_bits_of_its_scalar_twin_at_every_length()
    {
        foreach (int n in TestNumbers.Lengths)
        {
            var x = TestNumbers.WithExtremes(n, n);
            var z = TestNumbers.Normal(n, n + 1000);
            Compare("norm", y => RmsNorm.Apply(x, z, Epsilon, y), y => RmsNorm.ApplyScalar(x, z, Epsilon, y), x);
            Compare("norm added", y => RmsNorm.AddTo(x, z, Epsilon, y), y => RmsNorm.AddToScalar(x, z, Epsilon, y), z);
            Compare("softmax", Softmax.Apply, Softmax.ApplyScalar, x);
            Compare("gelu", y => GeluTanh.Gate(x, z, y), y => GeluTanh.GateScalar(x, z, y), x);
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(16)]
    [InlineData(34)]
    [InlineData(48)]
    [InlineData(128)]
    public void Rope_has_the_bits_of_its_scalar_twin(int headDim)
    {
        var table = new RopeTable(headDim, 10000, 100);
        foreach (int position in new[] { 0, 1, 37, 99 })
            Compare("rope", y => Rope.Apply(table, position, y), y => Rope.ApplyScalar(table, position, y), TestNumbers.WithExtremes(3 * headDim, position));
    }

    [Fact]
    public void Rope_turns_element_i_with_element_i_plus_half()
    {
        const int HeadDim = 8, Position = 5;
        var x = TestNumbers.Normal(2 * HeadDim, 7);
        var y = x.ToArray();
        Rope.Apply(new RopeTable(HeadDim, 10000, Position + 1), Position, y);
        var expected = new double[y.Length];
        for (int head = 0; head < expected.Length; head += HeadDim)
            for (int i = 0; i < HeadDim / 2; i++)
            {
                double angle = Position * Math.Pow(10000, -2.0 * i / HeadDim);
                expected[head + i] = x[head + i] * Math.Cos(angle) - x[head + i + HeadDim / 2] * Math.Sin(angle);
                expected[head + i + HeadDim / 2] = x[head + i + HeadDim / 2] * Math.Cos(angle) + x[head + i] * Math.Sin(angle);
            }
        TestNumbers.Near(expected, y, 0, 1e-6, "rope");
    }

    [Fact]
    public void Norm_agrees_with_double_precision_also_with_outliers()
    {
        var x = TestNumbers.Normal(6144, 1);
        x[100] = 100;
        x[5000] = -50;
        var scale = TestNumbers.Normal(6144, 2);
        double factor = 1 / Math.Sqrt(x.Sum(v => (double)v * v) / x.Length + Epsilon);
        var y = new float[x.Length];
        RmsNorm.Apply(x, scale, Epsilon, y);
        TestNumbers.Near([.. x.Zip(scale, (a, b) => a * factor * b)], y, 1e-6, 0, "norm");
    }

    [Fact]
    public void The_fused_norm_has_the_bits_of_norm_and_addition()
    {
        var (x, scale, residual) = (TestNumbers.Normal(1001, 1), TestNumbers.Normal(1001, 2), TestNumbers.Normal(1001, 3, 30));
        var normed = new float[x.Length];
        RmsNorm.Apply(x, scale, Epsilon, normed);
        var expected = residual.Zip(normed, (a, b) => a + b).ToArray();
        RmsNorm.AddTo(x, scale, Epsilon, residual);
        TestNumbers.SameBits(expected, residual, "norm added");
    }

    [Fact]
    public void A_row_of_zeros_gives_zeros()
    {
        var y = TestNumbers.Normal(33, 1);
        RmsNorm.Apply(new float[33], TestNumbers.Normal(33, 2), Epsilon, y);
        Assert.All(y, v => Assert.Equal(0f, v));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(8)]
    [InlineData(8191)]
    public void Softmax_agrees_with_double_precision_and_adds_up_to_one(int n)
    {
        var x = TestNumbers.Normal(n, n, 10);
        double max = x.Max(), sum = x.Sum(v => Math.Exp(v - max));
        var y = x.ToArray();
        Softmax.Apply(y);
        // exp carries the rounding of x - max (up to 70 here) into the relative error.
        TestNumbers.Near([.. x.Select(v => Math.Exp(v - max) / sum)], y, 1e-5, 1e-37, "softmax");
        Assert.Equal(1, y.Sum(v => (double)v), 1e-6);
    }

    [Fact]
    public void Gelu_agrees_with_double_precision()
    {
        var (x, up) = (TestNumbers.Normal(4096, 5, 3), TestNumbers.Normal(4096, 6));
        var y = new float[x.Length];
        GeluTanh.Gate(x, up, y);
        double Gelu(double v) => 0.5 * v * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (v + 0.044715 * v * v * v)));
        TestNumbers.Near([.. x.Zip(up, (a, b) => Gelu(a) * b)], y, 5e-6, 1e-12, "gelu");
    }

    [Fact]
    public void Wrong_shapes_and_constants_are_refused_with_the_numbers()
    {
        Assert.Contains("5", Assert.Throws<ArgumentException>(() => RmsNorm.Apply(new float[4], new float[5], Epsilon, new float[4])).Message);
        Assert.Throws<ArgumentException>(() => RmsNorm.Apply([], [], Epsilon, []));
        Assert.Throws<ArgumentException>(() => Softmax.Apply([]));
        Assert.Throws<ArgumentException>(() => GeluTanh.Gate(new float[4], new float[3], new float[4]));
        Assert.Throws<ArgumentException>(() => new RopeTable(7, 10000, 10));
        Assert.Throws<ArgumentException>(() => new RopeTable(8, double.NaN, 10));
        Assert.Throws<ArgumentException>(() => new RopeTable(128, 10000, int.MaxValue));
        var table = new RopeTable(8, 10000, 10);
        Assert.Throws<ArgumentException>(() => Rope.Apply(table, 0, new float[12]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Rope.Apply(table, 10, new float[8]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Rope.Apply(table, -1, new float[8]));
    }

    private delegate void Kernel(Span<float> destination);

    private static void Compare(string what, Kernel fast, Kernel twin, float[] start)
    {
        var (expected, actual) = (start.ToArray(), start.ToArray());
        twin(expected);
        fast(actual);
        TestNumbers.SameBits(expected, actual, $"{what} of {start.Length}");
    }
}
