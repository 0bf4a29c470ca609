// The expert with float32 activations ("exact"): for parity, not for speed. A lane is an output column; for each activation
// block s = fma(x_k, w_k, s) for k ascending from s = 0, then y = fma(s, weight scale, y), as on the CPU.
// Launch: one warp for each panel and 8 tokens: input grid (panels, ceil(most pairs / 8)), down grid (panels, ceil(most pairs / 8), items).
#include "expert_layout.cuh"

#define TOKENS 8

template <int FORMAT>
__device__ __forceinline__ int weight_at(const u8* tile, int k, int column)
{
    typedef TileLayout<FORMAT> Tile;
    const int lane = column % 8 * 4 + k / 8;
    const u8* at = tile + column / HALF_COLUMNS * Tile::HALF_BYTES + lane * Tile::LANE_BYTES;
    const int upper = column % HALF_COLUMNS / 8;
    if (FORMAT == FORMAT_INT8)
        return (s8)at[(k % 8 / 4 * 2 + upper) * 4 + k % 4];
    const int both = at[upper * 4 + k % 4];
    return (s8)(k % 8 < 4 ? both << 4 : both & 0xf0) >> 4;
}

// The weight scale of a column in a row of scales.
__device__ __forceinline__ float scale_at(const u8* scales, int column)
{
    return bf16_widen(((const u16*)scales)[column / HALF_COLUMNS * HALF_COLUMNS + column % 8 * 2 + column % HALF_COLUMNS / 8]);
}

// y[token] += x[token] W[:, panel] over blocks [first, end) for up to TOKENS rows.
template <int FORMAT, class RowOf>
__device__ __forceinline__ void exact_product(
    const u8* panels, int panel, const StreamBlock* blocks, int first, int end, const float* x, i64 stride, int tokens, RowOf row_of, float (&y)[TOKENS])
{
    const int column = threadIdx.x % WARP;
    for (int index = first; index < end; index++)
    {
        const StreamBlock block = blocks[index];
        const u8* at = panels + block.base + (i64)panel * block.panel_bytes;
        float s[TOKENS];
#pragma unroll
        for (int i = 0; i < TOKENS; i++)
            s[i] = 0.0f;
        for (int k = 0; k < block.length; k++)
        {
            const float w = (float)weight_at<FORMAT>(at + block.weights + k / TILE_ROWS * TileLayout<FORMAT>::BYTES, k % TILE_ROWS, column);
#pragma unroll
            for (int i = 0; i < TOKENS; i++)
                if (i < tokens)
                    s[i] = fma_(x[row_of(i) * stride + block.tile * TILE_ROWS + k], w, s[i]);
        }
        const float scale = scale_at(at + block.scales, column);
#pragma unroll
        for (int i = 0; i < TOKENS; i++)
            y[i] = fma_(s[i], scale, y[i]);
    }
}

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
