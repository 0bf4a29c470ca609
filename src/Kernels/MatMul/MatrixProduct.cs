using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// <c>Y = X W</c> for one or several matrices that share X, spread over a compute pool by panels of output columns. One
/// object is one reusable job: it allocates only when the number of rows grows. Not for concurrent use.
/// </summary>
public sealed unsafe class MatrixProduct : IComputeJob, IDisposable
{
    private const int MaxMatrices = 4;
    private readonly PackedMatrix[] matrices = new PackedMatrix[MaxMatrices];
    private readonly nint[] results = new nint[MaxMatrices];
    private readonly int[] firstPart = new int[MaxMatrices + 1];
    private NativeBuffer<int> rows = new(64);
    private Activations x = null!;
    private int count;
    private int panelsPerPart;

    public MatrixProduct() => FillRows();

    /// <summary>Names a matrix and where its result goes, for the next <see cref="Run"/>.</summary>
    /// <param name="matrix">[K, N].</param>
    /// <param name="y">[rows, PaddedColumns(N)] float32, overwritten.</param>
    public void Add(PackedMatrix matrix, float* y)
    {
        matrices[count] = matrix;
        results[count++] = (nint)y;
    }

    /// <summary>Computes every matrix added since the last run.</summary>
    public void Run(ComputePool pool, Activations activations)
    {
        x = activations;
        if (x.Rows > rows.Length)
        {
            rows.Dispose();
            rows = new NativeBuffer<int>(Math.Max(x.Rows, 2 * rows.Length));
            FillRows();
        }
        var panels = 0;
        for (var m = 0; m < count; m++)
            panels += matrices[m].PanelCount;
        // Enough parts that threads end together, few enough that taking one costs nothing.
        panelsPerPart = Math.Max(1, panels / (pool.Threads * 8));
        for (var m = 0; m < count; m++)
            firstPart[m + 1] = firstPart[m] + (matrices[m].PanelCount + panelsPerPart - 1) / panelsPerPart;
        pool.Run(this, firstPart[count]);
        count = 0;
    }

    void IComputeJob.Execute(int part)
    {
        var m = 0;
        while (part >= firstPart[m + 1])
            m++;
        var matrix = matrices[m];
        var stride = PanelLayout.PaddedColumns(matrix.Columns);
        var first = (part - firstPart[m]) * panelsPerPart;
        var end = Math.Min(first + panelsPerPart, matrix.PanelCount);
        for (var panel = first; panel < end; panel++)
        {
            var y = (float*)results[m] + panel * PanelLayout.Columns;
            for (var row = 0; row < x.Rows; row++)
                new Span<float>(y + (long)row * stride, PanelLayout.Columns).Clear();
            PanelProduct.Accumulate(matrix.Format, matrix.Panel(panel), x, rows.Pointer, x.Rows, y, stride);
        }
    }

    public void Dispose() => rows.Dispose();

    private void FillRows()
    {
        for (var i = 0; i < rows.Length; i++)
            rows.Pointer[i] = i;
    }
}
