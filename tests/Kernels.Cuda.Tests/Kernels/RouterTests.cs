using Grok1Cluster.Kernels.Cuda.Dense;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Tests.Emulator;
using Grok1Cluster.Kernels.Ops;

namespace Grok1Cluster.Kernels.Cuda.Tests.Kernels;

/// <summary>The router's kernel against the CPU's norm, logits and choice: the same bits.</summary>
public sealed unsafe class RouterTests
{
    private const int Rows = 3;
    private const float Epsilon = 1e-5f;

    // Grok-1's 8 experts fill a warp with their four sums; fewer, more than a warp of experts, and the most there may be; rows of four, and with a rest of one to three.
    [EmulatedTheory]
    [InlineData(64, 8, 2, 0)]
    [InlineData(129, 8, 2, 1)]
    [InlineData(74, 5, 5, 2)]
    [InlineData(31, 1, 1, 0)]
    [InlineData(176, 40, 3, 1)]
    [InlineData(7, 256, 4, 2)]
    public void Choice_and_gates_have_the_bits_of_the_CPU(int columns, int experts, int count, int order)
    {
        var random = new Random(columns);
        float[] Random(int length) => [.. Enumerable.Range(0, length).Select(_ => random.NextSingle() * 4 - 2)];
        Compare(Random(Rows * columns), Random(columns), Random(columns * experts), columns, experts, count, order);
    }

    [EmulatedFact]
    public void Of_experts_with_equal_probabilities_the_lower_is_chosen()
    {
        const int columns = 32, experts = 8;
        // Experts 2, 5 and 6 are the same, and the best; all others are the same, and worse.
        var weights = new float[columns * experts];
        for (var k = 0; k < columns; k++)
            foreach (var expert in (int[])[2, 5, 6])
                weights[k * experts + expert] = 0.25f;
        var (chosen, _) = Compare([.. Enumerable.Repeat(1f, Rows * columns)], [.. Enumerable.Repeat(1f, columns)], weights, columns, experts, count: 5, order: 0);
        Assert.Equal([2, 5, 6, 0, 1], chosen[..5]);
    }

    private static (int[] Chosen, float[] Gates) Compare(float[] residual, float[] norm, float[] weights, int columns, int experts, int count, int order)
    {
        var (chosen, gates) = (new int[Rows * count], new float[Rows * count]);
        using var device = new EmulatedDevice(order);
        using var kernels = new DenseKernels(device);
        using var stream = device.CreateStream();
        using var buffer = device.Allocate(sizeof(float) * (residual.Length + norm.Length + weights.Length + chosen.Length + gates.Length));
        var at = buffer.Address;
        nint Put<T>(T[] values)
            where T : unmanaged
        {
            values.CopyTo(new Span<T>((void*)at, values.Length));
            at += values.Length * sizeof(T);
            return at - values.Length * sizeof(T);
        }
        var router = new RouterRows
        {
            Residual = Put(residual), Norm = Put(norm), Weights = Put(weights), Chosen = Put(chosen), Gates = Put(gates), Columns = columns, Experts = experts, Count = count, Epsilon = Epsilon,
        };
        kernels.Route(stream, router, Rows);
        stream.Synchronize();
        new Span<int>((void*)router.Chosen, chosen.Length).CopyTo(chosen);
        new Span<float>((void*)router.Gates, gates.Length).CopyTo(gates);
        for (var row = 0; row < Rows; row++)
        {
            var (normed, logits, expected, probabilities) = (new float[columns], new float[experts], new int[count], new float[count]);
            RmsNorm.Apply(residual.AsSpan(row * columns, columns), norm, Epsilon, normed);
            RouterLogits.Compute(normed, weights, logits);
            TopK.Choose(logits, expected, probabilities);
            Assert.Equal(expected, chosen[(row * count)..((row + 1) * count)]);
            Assert.Equal(probabilities.Select(BitConverter.SingleToInt32Bits), gates[(row * count)..((row + 1) * count)].Select(BitConverter.SingleToInt32Bits));
        }
        return (chosen, gates);
    }
}
