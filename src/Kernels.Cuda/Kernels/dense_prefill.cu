// y = x W for many rows, int8 activations ("fast").
// Launch: grid (ceil(rows / 64), ceil(panels / 4)).
#include "dense_layout.cuh"
#include "prefill_product.cuh"

GROK1_KERNEL(dense_prefill, DenseProduct, THREADS)
{
    const int first = blockIdx.x * TOKENS;
    const int panels = p.columns / PANEL_COLUMNS;
    auto product = make_product<FORMAT_INT8>([=](int row) { return first + row; });
    product.blocks = p.blocks;
    product.panel_start = p.weights;
    product.panel_number = min((int)(blockIdx.y * PANELS + threadIdx.x / PANEL_THREADS), panels - 1);
    product.values = p.values;
    product.scales = p.scales;
    product.value_stride = p.stride;
    product.scale_stride = factor_stride(p.block_count);
    product.tokens = min(TOKENS, p.rows - first);
    product.run(GROK1_SHARED, 0, p.block_count);
    product.add_outliers(p.weights, min((int)(blockIdx.y * PANELS + threadIdx.x / WARP % PANELS), panels - 1), p.block_count, 0, p.block_count);

    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int first_column = (blockIdx.y * PANELS + warp % PANELS) * PANEL_COLUMNS, first_row = warp / PANELS * WARP_TOKENS;
#pragma unroll
    for (int i = 0; i < 2 * GROUPS * 4; i++)
    {
        const int row = first_row + i / 4 % GROUPS * 8 + lane % 4 * 2 + i % 2;
        const int column = first_column + i / (GROUPS * 4) * HALF_COLUMNS + lane / 4 + i % 4 / 2 * 8;
        if (row < product.tokens && column < p.columns)
            p.y[(i64)(first + row) * p.columns + column] = product.y[i / (GROUPS * 4)][i / 4 % GROUPS][i % 4] * p.multiplier;
    }
}
