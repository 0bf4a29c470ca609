// sum[row] = fma(gate, y, sum[row]) for the pairs of a row in the order of the tiles; one thread owns an element, so the
// order cannot vary.
// Launch: grid (ceil(columns / THREADS), rows).
#include "expert_layout.cuh"

#define THREADS 256

GROK1_KERNEL(expert_combine, ExpertCall, THREADS)
{
    const int column = blockIdx.x * THREADS + threadIdx.x;
    const int row = blockIdx.y;
    if (column >= p.shape.columns)
        return;
    const int end = p.row_starts[row + 1];
    int i = p.row_starts[row];
    if (i == end)
        return;
    float sum = p.sum[(i64)row * p.shape.columns + column];
    for (; i < end; i++)
    {
        const int pair = p.row_pairs[i];
        sum = fma_(p.gates[pair], p.y[(i64)pair * p.shape.columns + column], sum);
    }
    p.sum[(i64)row * p.shape.columns + column] = sum;
}
