// Rows of float32 as the left side of a product: int8 blocks ("fast") or float32 ("exact"), every activation block padded to
// tiles of 32. The operations of the CPU's RmsNorm and ActivationQuantizer in their order.
#pragma once
#include "outliers.cuh"

struct ActivationRows
{
    const float* x;            // [rows, x_stride]
    const float* const* x_rows; // [rows] where each row is; or null: in x
    const float* norm;         // [columns] weights of the norm; unused without one
    const StreamBlock* blocks; // [block_count]
    s8* values;                // [rows, stride]; fast
    float* scales;             // [rows]: factors (outliers.cuh) of block_count blocks; fast
    float* floats;             // [rows, stride]; exact
    int x_stride;
    int columns; // of x
    int block_count;
    int stride; // of the target, padded
    float epsilon;
    int unused;
};

// What the elements of a row are multiplied by: 1 / sqrt(mean of the squares + epsilon). Element i belongs to lane i mod 32 and the
// lanes are folded in halves, as on the CPU. Every warp that needs it computes it.
__device__ __forceinline__ float norm_factor(const float* x, int columns, float epsilon)
{
    float sum = 0.0f;
    for (int i = threadIdx.x % WARP; i < columns; i += WARP)
        sum = fma_(x[i], x[i], sum);
    return __fdiv_rn(1.0f, __fsqrt_rn(__fdiv_rn(warp_sum(sum), __int2float_rn(columns)) + epsilon));
}

// One row by WARPS warps that take its blocks in turns.
template <int WARPS, bool NORM, bool EXACT>
__device__ __forceinline__ void write_row(const ActivationRows& p, int row)
{
    const int lane = threadIdx.x % WARP;
    const float* x = p.x_rows ? p.x_rows[row] : p.x + (i64)row * p.x_stride;
    const float factor = NORM ? norm_factor(x, p.columns, p.epsilon) : 1.0f;
    for (int index = threadIdx.x / WARP; index < p.block_count; index += WARPS)
    {
        const StreamBlock block = p.blocks[index];
        const i64 at = (i64)row * p.stride + block.tile * TILE_ROWS;
        float v[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            const int k = i * WARP + lane;
            v[i] = 0.0f;
            if (k < block.length)
                v[i] = NORM ? x[block.start + k] * factor * p.norm[block.start + k] : x[block.start + k];
        }
        if (EXACT)
        {
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (i < block.tiles)
                    p.floats[at + i * WARP + lane] = v[i];
            continue;
        }
        quantise_block(v, block, index, p.values + at, p.scales + (i64)row * factor_stride(p.block_count), p.block_count);
    }
}
