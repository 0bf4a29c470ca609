// y = x W with float32 activations ("exact"): for parity, not for speed.
// Launch: one warp for each panel and 8 rows: grid (panels, ceil(rows / 8)).
#include "dense_layout.cuh"
#include "exact_product.cuh"

GROK1_KERNEL(dense_exact, DenseProduct, WARP)
{
    const int first = blockIdx.y * TOKENS;
    const int rows = min(TOKENS, p.rows - first);
    float y[TOKENS] = {};
    exact_product<FORMAT_INT8>(p.weights, blockIdx.x, p.blocks, 0, p.block_count, p.floats, p.stride, rows, [&](int row) { return (i64)(first + row); }, y);
    const int column = blockIdx.x * PANEL_COLUMNS + threadIdx.x % WARP;
#pragma unroll
    for (int i = 0; i < TOKENS; i++)
        if (i < rows)
            p.y[(i64)(first + i) * p.columns + column] = y[i] * p.multiplier;
}
