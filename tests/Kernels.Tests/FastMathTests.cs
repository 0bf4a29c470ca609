using System.Numerics;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Tests;

public class FastMathTests
{
    public static TheoryData<string> Functions => ["exp", "sigmoid", "tanh"];

    [Theory, MemberData(nameof(Functions))]
    public void A_vector_has_the_bits_of_the_scalar_twin_in_every_lane(string name)
    {
        var (vector, scalar, _) = Function(name);
        float[] extremes = [0f, -0f, float.Epsilon, -float.Epsilon, float.MaxValue, float.MinValue, float.PositiveInfinity,
            float.NegativeInfinity, float.NaN, -87.3f, -87.4f, 88.37f, 88.4f, 0.625f, -0.625f, 0.62499994f];
        float[] x = [.. extremes, .. TestNumbers.Normal(4096, 1, 20), .. TestNumbers.Normal(4096, 2)];
        var y = new float[x.Length];
        for (int i = 0; i < x.Length; i += Vector<float>.Count)
            vector(new Vector<float>(x, i)).CopyTo(y, i);
        TestNumbers.SameBits(x.Select(scalar).ToArray(), y, name);
    }

    [Theory, MemberData(nameof(Functions))]
    public void Results_are_within_a_few_units_in_the_last_place_of_double_precision(string name)
    {
        var (_, scalar, reference) = Function(name);
        double worst = 0;
        for (int step = -870_000; step <= 870_000; step++)
        {
            float x = step * 1e-4f;
            double expected = reference(x);
            float magnitude = MathF.Abs((float)expected);
            worst = Math.Max(worst, Math.Abs(scalar(x) - expected) / (MathF.BitIncrement(magnitude) - magnitude));
        }
        Assert.InRange(worst, 0, name switch { "exp" => 2, "sigmoid" => 3, _ => 4 });
    }

    [Fact]
    public void Exp_saturates_at_normal_numbers_and_keeps_NaN()
    {
        Assert.InRange(FastMath.Exp(float.NegativeInfinity), 1.175494351e-38f, 1.3e-38f);
        Assert.InRange(FastMath.Exp(float.PositiveInfinity), 2e38f, float.MaxValue);
        Assert.Equal(1f, FastMath.Exp(0));
        Assert.True(float.IsNaN(FastMath.Exp(float.NaN)));
        Assert.True(float.IsNaN(FastMath.Exp(new Vector<float>(float.NaN))[0]));
        Assert.True(float.IsNaN(FastMath.Tanh(float.NaN)));
    }

    [Fact]
    public void Tanh_ends_at_one_and_is_odd_but_for_rounding()
    {
        Assert.Equal(1f, FastMath.Tanh(float.PositiveInfinity));
        Assert.Equal(-1f, FastMath.Tanh(float.NegativeInfinity));
        Assert.Equal(1e-30f, FastMath.Tanh(1e-30f));
        foreach (float x in TestNumbers.Normal(200, 3, 0.3f))
            Assert.Equal(-FastMath.Tanh(x), FastMath.Tanh(-x), 3e-7f);
    }

    private static (Func<Vector<float>, Vector<float>> Vector, Func<float, float> Scalar, Func<double, double> Reference) Function(string name) => name switch
    {
        "exp" => (FastMath.Exp, FastMath.Exp, Math.Exp),
        "sigmoid" => (FastMath.Sigmoid, FastMath.Sigmoid, x => 1 / (1 + Math.Exp(-x))),
        _ => (FastMath.Tanh, FastMath.Tanh, Math.Tanh),
    };
}
