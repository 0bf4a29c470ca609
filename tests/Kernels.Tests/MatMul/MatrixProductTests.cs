using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Tests.MatMul;

/// <summary>Whole products on a pool, and the exact head's product with the embedding table.</summary>
public unsafe class MatrixProductTests
{
    [Fact]
    public void Several_matrices_in_one_run_have_the_bits_of_the_scalar_twin_on_any_number_of_threads()
    {
        const int Rows = 6;
        foreach (var product in ProductPaths.All)
        {
            using var wide = new ProductFixture(product.Weights, product.Activations, 176, 1, null, 300, Rows);
            using var narrow = new ProductFixture(product.Weights, product.Activations, 176, 1, null, 33, Rows);
            float[] Expected(ProductFixture fixture) => fixture.Run((in PanelOperands w, Activations x, int* rows, int count, float* y, long stride) =>
            {
                for (var i = 0; i < count; i++)
                    new Span<float>(y + i * stride, PanelLayout.Columns).Clear();
                product.Scalar(w, wide.X, rows, count, y, stride);
            }, [0, 1, 2, 3, 4, 5]);
            foreach (var threads in (int[])[1, 2, 3])
            {
                using var pool = new ComputePool(threads, spin: false);
                using var job = new MatrixProduct();
                using var first = new NativeBuffer<float>(Rows * 320);
                using var second = new NativeBuffer<float>(Rows * 64);
                first.Span.Fill(float.NaN);
                job.Add(wide.Matrix, first.Pointer);
                job.Add(narrow.Matrix, second.Pointer);
                job.Run(pool, wide.X);
                TestNumbers.SameBits(Expected(wide), first.Span, $"{product.Name} on {threads} threads");
                TestNumbers.SameBits(Expected(narrow), second.Span, $"{product.Name} on {threads} threads, second matrix");
            }
        }
    }

    [Fact]
    public void A_product_allocates_nothing_after_its_first_run()
    {
        using var fixture = new ProductFixture(WeightFormat.Int8, ActivationFormat.Int8Blocks, 176, 1, null, 300, 70);
        using var pool = new ComputePool(1, spin: false);
        using var job = new MatrixProduct();
        using var y = new NativeBuffer<float>(70 * 320);
        void Run()
        {
            job.Add(fixture.Matrix, y.Pointer);
            job.Run(pool, fixture.X);
        }
        Run();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 10; i++)
            Run();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void The_row_major_dot_has_the_bits_of_its_scalar_twin_at_every_length()
    {
        foreach (var n in TestNumbers.Lengths)
        {
            var (a, b) = (TestNumbers.Normal(n, n), TestNumbers.Normal(n, n + 1, 100));
            a[n / 2] *= 1e6f;
            fixed (float* pa = a, pb = b)
                TestNumbers.SameBits([RowMajorProduct.DotScalar(a, b)], [RowMajorProduct.Dot(pa, pb, n)], $"dot of {n}");
            var magnitude = a.Zip(b, (x, y) => Math.Abs((double)x * y)).Sum();
            Assert.Equal(a.Zip(b, (x, y) => (double)x * y).Sum(), RowMajorProduct.DotScalar(a, b), 1e-6 * magnitude);
        }
    }

    [Fact]
    public void The_row_major_product_scales_every_dot_and_does_not_depend_on_the_threads()
    {
        const int Rows = 3, Columns = 131, Length = 97;
        var (x, table) = (TestNumbers.Normal(Rows * Length, 1), TestNumbers.Normal(Columns * Length, 2));
        var expected = new float[Rows * Columns];
        for (var row = 0; row < Rows; row++)
            for (var column = 0; column < Columns; column++)
                expected[row * Columns + column] = 0.57f * RowMajorProduct.DotScalar(x.AsSpan(row * Length, Length), table.AsSpan(column * Length, Length));
        foreach (var threads in (int[])[1, 2, 3])
        {
            using var pool = new ComputePool(threads, spin: false);
            var y = new float[Rows * Columns];
            fixed (float* px = x, pt = table, py = y)
                new RowMajorProduct().Run(pool, px, Rows, pt, Columns, Length, 0.57f, py);
            TestNumbers.SameBits(expected, y, $"{threads} threads");
        }
    }
}
