// Rows of int8 activation blocks with their factors, and activations that dominate their block and are kept as float32 beside it: the
// operations of the CPU's ActivationQuantizer and OutlierProduct, in their order.
//
// A row's factors, in words of 4 bytes: scales [blocks]; counts of outliers [blocks], one byte each, rounded up to whole words;
// outliers [blocks, MAX_OUTLIERS], of each block so many as it has, by k.
#pragma once
#include "expert_layout.cuh"

#define MAX_OUTLIERS 3
#define LEAST_RMS 20
#define COUNTS_OF_WORD 4

struct Outlier
{
    int k; // from the block's start
    float value;
};

// Words from one row's factors to the next row's.
__device__ __forceinline__ int factor_stride(int blocks) { return blocks + (blocks + COUNTS_OF_WORD - 1) / COUNTS_OF_WORD + 2 * MAX_OUTLIERS * blocks; }
__device__ __forceinline__ u8* outlier_counts(float* factors, int blocks) { return (u8*)(factors + blocks); }
__device__ __forceinline__ const u8* outlier_counts(const float* factors, int blocks) { return (const u8*)(factors + blocks); }
__device__ __forceinline__ Outlier* outliers_of(float* factors, int blocks, int index)
{
    return (Outlier*)(factors + blocks + (blocks + COUNTS_OF_WORD - 1) / COUNTS_OF_WORD) + MAX_OUTLIERS * index;
}

// One block by one warp: element i * WARP + lane in v[i], zero behind the block's length.
__device__ __forceinline__ void quantise_block(float (&v)[4], const StreamBlock& block, int index, s8* values, float* factors, int blocks)
{
    const int lane = threadIdx.x % WARP;
    Outlier found[MAX_OUTLIERS];
#pragma unroll
    for (int i = 0; i < MAX_OUTLIERS; i++)
        found[i].k = 4 * WARP, found[i].value = 0.0f;
    int count = 0;
    float largest;
    int rounded[4];
#pragma unroll 1
    for (;;)
    {
        largest = 0.0f;
#pragma unroll
        for (int i = 0; i < 4; i++)
            largest = fmaxf(largest, fabsf(v[i]));
        largest = warp_max(largest);
        const float inverse = largest < 1e-30f ? 0.0f : __fdiv_rn(127.0f, largest);
        // Whole numbers below 2^24 in all, so the sum is exact in any order.
        float power = 0.0f;
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            rounded[i] = __float2int_rn(v[i] * inverse);
            power += __int2float_rn(rounded[i] * rounded[i]);
        }
        if (count == MAX_OUTLIERS || inverse == 0.0f || warp_sum(power) >= (float)(LEAST_RMS * LEAST_RMS) * __int2float_rn(block.length))
            break;
        // The first of the largest values becomes an outlier and counts as zero.
        int first = 4 * WARP;
#pragma unroll
        for (int i = 3; i >= 0; i--)
            if (fabsf(v[i]) == largest)
                first = i * WARP + lane;
        first = -(int)warp_max(-(float)first);
        Outlier taken;
        taken.k = first, taken.value = 0.0f;
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (first == i * WARP + lane)
                taken.value = v[i], v[i] = 0.0f;
        taken.value = __shfl_sync(ALL_LANES, taken.value, first % WARP);
#pragma unroll
        for (int i = 0; i < MAX_OUTLIERS; i++)
            if (taken.k < found[i].k)
            {
                const Outlier other = found[i];
                found[i] = taken, taken = other;
            }
        count++;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (i < block.tiles)
            values[i * WARP + lane] = (s8)rounded[i];
    if (lane != 0)
        return;
    factors[index] = __fdiv_rn(largest, 127.0f);
    outlier_counts(factors, blocks)[index] = (u8)count;
#pragma unroll
    for (int i = 0; i < MAX_OUTLIERS; i++)
        if (i < count)
            outliers_of(factors, blocks, index)[i] = found[i];
}

__device__ __forceinline__ u32 warp_or(u32 bits)
{
#pragma unroll
    for (int step = 16; step > 0; step >>= 1)
        bits |= (u32)__shfl_xor_sync(ALL_LANES, (int)bits, step);
    return bits;
}

// Calls add(token, block's index, outlier) for the outliers of blocks [first, end) of up to 32 tokens, ascending in each token. All lanes
// take part. Without outliers it costs one coalesced look at the counts.
template <class RowOf, class Add>
__device__ __forceinline__ void each_outlier(const float* factors, int blocks, int first, int end, int tokens, RowOf row_of, Add add)
{
    const int lane = threadIdx.x % WARP;
    const int stride = factor_stride(blocks);
    const int first_word = first / COUNTS_OF_WORD, words = (end + COUNTS_OF_WORD - 1) / COUNTS_OF_WORD - first_word;
    u32 concerned = 0;
#pragma unroll 8
    for (int i = lane; i < tokens * words; i += WARP)
        if (((const u32*)outlier_counts(factors + (i64)row_of(i / words) * stride, blocks))[first_word + i % words] != 0)
            concerned |= 1u << i / words;
    concerned = warp_or(concerned);
    if (concerned == 0)
        return;
#pragma unroll 1
    for (int token = 0; token < tokens; token++)
    {
        if ((concerned >> token & 1u) == 0)
            continue;
        const float* row = factors + (i64)row_of(token) * stride;
        const u8* counts = outlier_counts(row, blocks);
#pragma unroll 1
        for (int index = first; index < end; index++)
        {
            const int count = counts[index];
#pragma unroll 1
            for (int i = 0; i < count; i++)
                add(token, index, outliers_of((float*)row, blocks, index)[i]);
        }
    }
}

// y plus what an outlier adds to a column of a panel: of int8 weights, since shorter blocks have none.
__device__ __forceinline__ float add_outlier(float y, const u8* panel, const StreamBlock& block, const Outlier& outlier, int column)
{
    const u8* tile = panel + block.weights + outlier.k / TILE_ROWS * TileLayout<FORMAT_INT8>::BYTES;
    const float weight = __int2float_rn(weight_at<FORMAT_INT8>(tile, outlier.k % TILE_ROWS, column));
    return fma_(weight, outlier.value * scale_at(panel + block.scales, column), y);
}
