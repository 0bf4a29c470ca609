// hidden = gelu(x Wgate) * (x Wup) for up to 32 tokens a tile, int8 activations ("fast"), at memory speed.
// Launch: one warp for each half of each hidden panel of all items: ceil(2 * panels / WARPS) blocks.
#include "expert_stream.cuh"

#define WARPS 2

template <int FORMAT, int GROUPS, int STAGES>
__device__ __forceinline__ void expert_input(const ExpertCall& p, int panels)
{
    typedef StreamProduct<FORMAT, GROUPS, 2, STAGES> Product;
    const int lane = threadIdx.x % WARP;
    const int unit = blockIdx.x * WARPS + threadIdx.x / WARP;
    if (unit >= 2 * panels)
        return;
    const ExpertItem item = p.items[item_of_panel(p, unit / 2)];
    int first_column;
    const u8* gate = gate_panel(p, item, unit / 2 - item.first_panel, first_column);
    if (gate == 0)
        return;
    Product product;
    product.blocks = p.shape.input_blocks;
    product.panels[0] = gate;
    product.panels[1] = gate + p.shape.input_panel_bytes;
    product.panel = 0;
    product.half = unit % 2;
    product.values = p.x_values;
    product.scales = p.x_scales;
    const int blocks = p.shape.input_block_count;
    const auto row_of = [&](int token) { return p.rows[item.first_pair + token]; };
    product.set_rows(item.pairs, p.shape.input_stride, factor_stride(blocks), row_of);
    product.run(GROK1_SHARED + threadIdx.x / WARP * Product::WARP_BYTES, 0, blocks);
    product.add_outliers(blocks, 0, blocks, item.pairs, row_of);

#pragma unroll
    for (int group = 0; group < GROUPS; group++)
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            const int token = 8 * group + lane % 4 * 2 + i % 2;
            const int column = first_column + product.half * HALF_COLUMNS + lane / 4 + i / 2 * 8;
            if (token < item.pairs && column < p.shape.feed_forward_dim)
                p.hidden[(i64)(item.first_pair + token) * p.shape.hidden_stride + p.shape.hidden_positions[column]] =
                    gelu_gate(product.y[0][group][i], product.y[1][group][i]);
        }
}

struct ExpertInputLaunch
{
    ExpertCall call;
    int panels;
};

GROK1_KERNEL(expert_input_int8_8, ExpertInputLaunch, WARPS * WARP) { expert_input<FORMAT_INT8, 1, 8>(p.call, p.panels); }
GROK1_KERNEL(expert_input_int8_16, ExpertInputLaunch, WARPS * WARP) { expert_input<FORMAT_INT8, 2, 8>(p.call, p.panels); }
GROK1_KERNEL(expert_input_int8_32, ExpertInputLaunch, WARPS * WARP) { expert_input<FORMAT_INT8, 4, 6>(p.call, p.panels); }
GROK1_KERNEL(expert_input_int4_8, ExpertInputLaunch, WARPS * WARP) { expert_input<FORMAT_INT4, 1, 16>(p.call, p.panels); }
GROK1_KERNEL(expert_input_int4_16, ExpertInputLaunch, WARPS * WARP) { expert_input<FORMAT_INT4, 2, 10>(p.call, p.panels); }
GROK1_KERNEL(expert_input_int4_32, ExpertInputLaunch, WARPS * WARP) { expert_input<FORMAT_INT4, 4, 8>(p.call, p.panels); }
