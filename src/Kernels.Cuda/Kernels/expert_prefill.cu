// The expert's products for many tokens a tile, int8 activations ("fast"). Token tiles are the fastest axis of the grid, so thread
// blocks that run together share their weights in the L2 cache.
// Launch: input: grid (ceil(most pairs / 64), ceil(most hidden panels of an item / 2), items): the panels are two of gate and
// two of up. Down: grid (ceil(most pairs / 64), ceil(panels / 4), items).
#include "prefill_product.cuh"

template <int FORMAT>
__device__ __forceinline__ void prefill_input(const ExpertCall& p)
{
    const ExpertItem item = p.items[blockIdx.z];
    const int first = blockIdx.x * TOKENS;
    if (first >= item.pairs)
        return;
    const int* rows = p.rows + item.first_pair + first;
    auto product = make_product<FORMAT>([=](int token) { return rows[token]; });
    int first_column, next_column;
    const u8* gate = gate_panel(p, item, blockIdx.y * 2, first_column);
    const u8* next_gate = gate_panel(p, item, blockIdx.y * 2 + 1, next_column);
    if (gate == 0)
        return;
    product.blocks = p.shape.input_blocks;
    // Where there is no second panel the first one is computed twice, and stored once.
    const int copied = threadIdx.x / PANEL_THREADS;
    product.panel_start = (copied / 2 == 1 && next_gate != 0 ? next_gate : gate) + copied % 2 * p.shape.input_panel_bytes;
    product.panel_number = 0;
    product.values = p.x_values;
    product.scales = p.x_scales;
    product.value_stride = p.shape.input_stride;
    product.scale_stride = factor_stride(p.shape.input_block_count);
    product.tokens = min(TOKENS, item.pairs - first);
    product.run(GROK1_SHARED, 0, p.shape.input_block_count);

    // Up goes through shared memory to the warps that have gate, element by element of the same lanes.
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int pair = warp % PANELS / 2, is_up = warp % 2, first_token = warp / PANELS * WARP_TOKENS;
    product.add_outliers((pair == 1 && next_gate != 0 ? next_gate : gate) + is_up * p.shape.input_panel_bytes, 0, p.shape.input_block_count, 0, p.shape.input_block_count);
    float* ups = (float*)GROK1_SHARED + (warp / PANELS * 2 + pair) * (2 * GROUPS * 4 * WARP);
#pragma unroll
    for (int i = 0; i < 2 * GROUPS * 4; i++)
        if (is_up)
            ups[i * WARP + lane] = product.y[i / (GROUPS * 4)][i / 4 % GROUPS][i % 4];
    __syncthreads();
    if (is_up || (pair == 1 && next_gate == 0))
        return;
    if (pair == 1)
        first_column = next_column;
#pragma unroll
    for (int i = 0; i < 2 * GROUPS * 4; i++)
    {
        const int token = first_token + i / 4 % GROUPS * 8 + lane % 4 * 2 + i % 2;
        const int column = first_column + i / (GROUPS * 4) * HALF_COLUMNS + lane / 4 + i % 4 / 2 * 8;
        if (token < product.tokens && column < p.shape.feed_forward_dim)
            p.hidden[(i64)(item.first_pair + first + token) * p.shape.hidden_stride + p.shape.hidden_positions[column]] =
                gelu_gate(product.y[i / (GROUPS * 4)][i / 4 % GROUPS][i % 4], ups[i * WARP + lane]);
    }
}

template <int FORMAT>
__device__ __forceinline__ void prefill_down(const ExpertCall& p)
{
    const ExpertItem item = p.items[blockIdx.z];
    const int first = blockIdx.x * TOKENS;
    if (first >= item.pairs)
        return;
    const int first_pair = item.first_pair + first;
    auto product = make_product<FORMAT>([=](int token) { return first_pair + token; });
    const int panels = (p.shape.columns + PANEL_COLUMNS - 1) / PANEL_COLUMNS;
    product.blocks = p.shape.hidden_blocks;
    product.panel_start = item.weights;
    product.panel_number = min((int)(blockIdx.y * PANELS + threadIdx.x / PANEL_THREADS), panels - 1);
    product.values = p.hidden_values;
    product.scales = p.hidden_scales;
    product.value_stride = p.shape.hidden_stride;
    product.scale_stride = factor_stride(p.shape.hidden_block_count);
    product.tokens = min(TOKENS, item.pairs - first);
    product.run(GROK1_SHARED, item.first_hidden, item.end_hidden);
    product.add_outliers(
        item.weights, min((int)(blockIdx.y * PANELS + threadIdx.x / WARP % PANELS), panels - 1), p.shape.hidden_block_count, item.first_hidden, item.end_hidden);

    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int first_column = (blockIdx.y * PANELS + warp % PANELS) * PANEL_COLUMNS, first_token = warp / PANELS * WARP_TOKENS;
#pragma unroll
    for (int i = 0; i < 2 * GROUPS * 4; i++)
    {
        const int token = first_token + i / 4 % GROUPS * 8 + lane % 4 * 2 + i % 2;
        const int column = first_column + i / (GROUPS * 4) * HALF_COLUMNS + lane / 4 + i % 4 / 2 * 8;
        if (token < product.tokens && column < p.shape.columns)
            p.y[(i64)(first_pair + token) * p.shape.columns + column] = product.y[i / (GROUPS * 4)][i / 4 % GROUPS][i % 4];
    }
}

GROK1_KERNEL(prefill_input_int8, ExpertCall, THREADS) { prefill_input<FORMAT_INT8>(p); }
GROK1_KERNEL(prefill_input_int4, ExpertCall, THREADS) { prefill_input<FORMAT_INT4>(p); }
GROK1_KERNEL(prefill_down_int8, ExpertCall, THREADS) { prefill_down<FORMAT_INT8>(p); }
GROK1_KERNEL(prefill_down_int4, ExpertCall, THREADS) { prefill_down<FORMAT_INT4>(p); }
