// sum[row] = fma(gate, y, sum[row]) for the pairs of a row in the order of the tiles; one thread owns an element, so the
// order cannot vary.
// Launch: grid (touched rows, ceil(columns / THREADS)); where row_starts has nothing for a block it ends.
#include "expert_layout.cuh"

#define THREADS 256

GROK1_KERNEL(expert_combine, ExpertCall, THREADS)
{
    const int column = blockIdx.y * THREADS + threadIdx.x;
    if (column >= p.shape.columns)
        return;
    const int end = p.row_starts[blockIdx.x + 1];
    int i = p.row_starts[blockIdx.x];
    if (i == end)
        return;
    float* target = p.sum + (i64)p.touched_rows[blockIdx.x] * p.shape.columns + column;
    float sum = *target;
    for (; i < end; i++)
    {
        const int pair = p.row_pairs[i];
        sum = fma_(p.gates[pair], p.y[(i64)pair * p.shape.columns + column], sum);
    }
    *target = sum;
}
