// The expert with float32 activations ("exact"): for parity, not for speed.
// Launch: one warp for each panel and 8 tokens: input grid (panels, ceil(most pairs / 8)), down grid (panels, ceil(most pairs / 8), items).
#include "exact_product.cuh"

template <int FORMAT>
__device__ __forceinline__ void exact_input(const ExpertCall& p)
{
    const ExpertItem item = p.items[item_of_panel(p, blockIdx.x)];
    const int first = blockIdx.y * TOKENS;
    const int tokens = min(TOKENS, item.pairs - first);
    if (tokens <= 0)
        return;
    int first_column;
    const u8* gate = gate_panel(p, item, blockIdx.x - item.first_panel, first_column);
    if (gate == 0)
        return;
    const int* rows = p.rows + item.first_pair + first;
    float g[TOKENS] = {}, u[TOKENS] = {};
    const auto row_of = [&](int token) { return (i64)rows[token]; };
    exact_product<FORMAT>(gate, 0, p.shape.input_blocks, 0, p.shape.input_block_count, p.x_floats, p.shape.input_stride, tokens, row_of, g);
    exact_product<FORMAT>(gate + p.shape.input_panel_bytes, 0, p.shape.input_blocks, 0, p.shape.input_block_count, p.x_floats, p.shape.input_stride, tokens, row_of, u);
    const int column = first_column + threadIdx.x % WARP;
    if (column >= p.shape.feed_forward_dim)
        return;
#pragma unroll
    for (int i = 0; i < TOKENS; i++)
        if (i < tokens)
            p.hidden[(i64)(item.first_pair + first + i) * p.shape.hidden_stride + p.shape.hidden_positions[column]] = gelu_gate(g[i], u[i]);
}

template <int FORMAT>
__device__ __forceinline__ void exact_down(const ExpertCall& p)
{
    const ExpertItem item = p.items[blockIdx.z];
    const int first = blockIdx.y * TOKENS;
    const int tokens = min(TOKENS, item.pairs - first);
    if (tokens <= 0)
        return;
    float y[TOKENS] = {};
    exact_product<FORMAT>(
        item.weights, blockIdx.x, p.shape.hidden_blocks, item.first_hidden, item.end_hidden, p.hidden, p.shape.hidden_stride, tokens,
        [&](int token) { return (i64)(item.first_pair + first + token); }, y);
    const int column = blockIdx.x * PANEL_COLUMNS + threadIdx.x % WARP;
    if (column >= p.shape.columns)
        return;
#pragma unroll
    for (int i = 0; i < TOKENS; i++)
        if (i < tokens)
            p.y[(i64)(item.first_pair + first + i) * p.shape.columns + column] = y[i];
}

GROK1_KERNEL(expert_input_exact_int8, ExpertCall, WARP) { exact_input<FORMAT_INT8>(p); }
GROK1_KERNEL(expert_input_exact_int4, ExpertCall, WARP) { exact_input<FORMAT_INT4>(p); }
GROK1_KERNEL(expert_down_exact_int8, ExpertCall, WARP) { exact_down<FORMAT_INT8>(p); }
GROK1_KERNEL(expert_down_exact_int4, ExpertCall, WARP) { exact_down<FORMAT_INT4>(p); }
