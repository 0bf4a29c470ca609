// residual += RmsNorm(y), float32: the operations of the CPU's RmsNorm.AddTo.
// Launch: one block for each row.
#include "activation_rows.cuh"

#define WARPS 8

struct ResidualAdd
{
    const float* y;    // [rows, y_stride]
    const float* norm; // [columns]
    float* residual;   // [rows, columns]
    int y_stride;
    int columns;
    float epsilon;
    int unused;
};

GROK1_KERNEL(residual_add, ResidualAdd, WARPS * WARP)
{
    const float* y = p.y + (i64)blockIdx.x * p.y_stride;
    float* residual = p.residual + (i64)blockIdx.x * p.columns;
    const float factor = norm_factor(y, p.columns, p.epsilon);
    for (int i = threadIdx.x; i < p.columns; i += WARPS * WARP)
        residual[i] = residual[i] + y[i] * factor * p.norm[i];
}
