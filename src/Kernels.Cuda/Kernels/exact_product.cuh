// The product with float32 activations ("exact"): for parity, not for speed. A lane is an output column; for each activation
// block s = fma(x_k, w_k, s) for k ascending from s = 0, then y = fma(s, weight scale, y), as on the CPU.
#pragma once
#include "expert_layout.cuh"

#define TOKENS 8

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
