using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Cuda.Dense;

// The structs of dense_layout.cuh, activation_rows.cuh, router.cu and residual_add.cu, field by field; addresses are of device memory.

/// <summary>y = x W for the rows of a batch.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct DenseProduct
{
    public nint Blocks;
    public nint Weights;
    public nint Values;
    public nint Scales;
    public nint Floats;
    public nint Y;
    public int BlockCount;
    public int Stride;

    /// <summary>Of all panels, a multiple of 32.</summary>
    public int Columns;

    public int Rows;
    public float Multiplier;
    private int _unused;
}

/// <summary>Rows of float32 on their way to the left side of a product.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ActivationRows
{
    public nint X;

    /// <summary>Addresses of rows that are not side by side; 0: they are, from <see cref="X"/> on.</summary>
    public nint XRows;

    public nint Norm;
    public nint Blocks;
    public nint Values;
    public nint Scales;
    public nint Floats;
    public int XStride;
    public int Columns;
    public int BlockCount;
    public int Stride;
    public float Epsilon;
    private int _unused;
}

/// <summary>A router's choice for rows of the residual stream.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct RouterRows
{
    public nint Residual;
    public nint Norm;
    public nint Weights;
    public nint Chosen;
    public nint Gates;
    public int Columns;
    public int Experts;

    /// <summary>Experts that are chosen for a row.</summary>
    public int Count;

    public float Epsilon;
}

/// <summary>residual += RmsNorm(y).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ResidualAdd
{
    public nint Y;
    public nint Norm;
    public nint Residual;
    public int YStride;
    public int Columns;
    public float Epsilon;
    private int _unused;
}
