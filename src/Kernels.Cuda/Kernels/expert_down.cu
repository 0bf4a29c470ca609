// y = hidden Wdown for up to 32 tokens a tile, int8 activations ("fast"), at memory speed.
// Launch: one warp for each half of each output panel, grid (ceil(2 * panels / WARPS), items).
#include "expert_stream.cuh"

#define WARPS 2

template <int FORMAT, int GROUPS, int STAGES>
__device__ __forceinline__ void expert_down(const ExpertCall& p)
{
    typedef StreamProduct<FORMAT, GROUPS, 1, STAGES> Product;
    const int lane = threadIdx.x % WARP;
    const int unit = blockIdx.x * WARPS + threadIdx.x / WARP;
    if (unit / 2 * PANEL_COLUMNS >= p.shape.columns)
        return;
    const ExpertItem item = p.items[blockIdx.y];
    if (item.pairs == 0)
        return;
    Product product;
    product.blocks = p.shape.hidden_blocks;
    product.panels[0] = item.weights;
    product.panel = unit / 2;
    product.half = unit % 2;
    product.values = p.hidden_values;
    product.scales = p.hidden_scales;
    const int blocks = p.shape.hidden_block_count;
    const auto row_of = [&](int token) { return item.first_pair + token; };
    product.set_rows(item.pairs, p.shape.hidden_stride, factor_stride(blocks), row_of);
    product.run(GROK1_SHARED + threadIdx.x / WARP * Product::WARP_BYTES, item.first_hidden, item.end_hidden);
    product.add_outliers(blocks, item.first_hidden, item.end_hidden, item.pairs, row_of);

#pragma unroll
    for (int group = 0; group < GROUPS; group++)
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            const int token = 8 * group + lane % 4 * 2 + i % 2;
            const int column = unit * HALF_COLUMNS + lane / 4 + i / 2 * 8;
            if (token < item.pairs && column < p.shape.columns)
                p.y[(i64)(item.first_pair + token) * p.shape.columns + column] = product.y[0][group][i];
        }
}

GROK1_KERNEL(expert_down_int8_8, ExpertCall, WARPS * WARP) { expert_down<FORMAT_INT8, 1, 12>(p); }
GROK1_KERNEL(expert_down_int8_16, ExpertCall, WARPS * WARP) { expert_down<FORMAT_INT8, 2, 10>(p); }
GROK1_KERNEL(expert_down_int8_32, ExpertCall, WARPS * WARP) { expert_down<FORMAT_INT8, 4, 8>(p); }
GROK1_KERNEL(expert_down_int4_8, ExpertCall, WARPS * WARP) { expert_down<FORMAT_INT4, 1, 24>(p); }
GROK1_KERNEL(expert_down_int4_16, ExpertCall, WARPS * WARP) { expert_down<FORMAT_INT4, 2, 16>(p); }
GROK1_KERNEL(expert_down_int4_32, ExpertCall, WARPS * WARP) { expert_down<FORMAT_INT4, 4, 10>(p); }
