// y = x W for up to 32 rows, int8 activations ("fast"), at memory speed.
// Launch: one warp for each half of each panel: ceil(2 * panels / WARPS) blocks.
#include "dense_layout.cuh"
#include "expert_stream.cuh"

#define WARPS 2

template <int GROUPS, int STAGES>
__device__ __forceinline__ void dense_stream(const DenseProduct& p)
{
    typedef StreamProduct<FORMAT_INT8, GROUPS, 1, STAGES> Product;
    const int lane = threadIdx.x % WARP;
    const int unit = blockIdx.x * WARPS + threadIdx.x / WARP;
    if (unit * HALF_COLUMNS >= p.columns)
        return;
    Product product;
    product.blocks = p.blocks;
    product.panels[0] = p.weights;
    product.panel = unit / 2;
    product.half = unit % 2;
    product.values = p.values;
    product.scales = p.scales;
    const auto row_of = [&](int row) { return row; };
    product.set_rows(p.rows, p.stride, factor_stride(p.block_count), row_of);
    product.run(GROK1_SHARED + threadIdx.x / WARP * Product::WARP_BYTES, 0, p.block_count);
    product.add_outliers(p.block_count, 0, p.block_count, p.rows, row_of);

#pragma unroll
    for (int group = 0; group < GROUPS; group++)
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            const int row = 8 * group + lane % 4 * 2 + i % 2;
            const int column = unit * HALF_COLUMNS + lane / 4 + i / 2 * 8;
            if (row < p.rows)
                p.y[(i64)row * p.columns + column] = product.y[0][group][i] * p.multiplier;
        }
}

GROK1_KERNEL(dense_stream_8, DenseProduct, WARPS * WARP) { dense_stream<1, 12>(p); }
GROK1_KERNEL(dense_stream_16, DenseProduct, WARPS * WARP) { dense_stream<2, 10>(p); }
GROK1_KERNEL(dense_stream_32, DenseProduct, WARPS * WARP) { dense_stream<4, 8>(p); }
