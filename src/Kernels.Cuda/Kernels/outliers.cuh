// Rows of int8 activation blocks with their factors, and activations that dominate their block and are kept as float32 beside it: the
// operations of the CPU's ActivationQuantizer and OutlierProduct, in their order.
//
// A row's factors, in words of 4 bytes: scales [blocks]; counts of outliers [blocks], one byte each, rounded up to whole words;
// outliers [blocks, MAX_OUTLIERS], of each block so many as it has, by k.
#pragma once
#include "expert_layout.cuh"

#define MAX_OUTLIERS 3
#define LEAST_RMS 16
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

// Goes through the outliers of blocks [first, end) of up to 32 tokens, ascending in each token. All lanes of a warp go together. Without
// outliers it costs one coalesced look at the counts.
template <class RowOf>
struct OutlierScan
{
    const float* factors;
    int blocks, first, end;
    RowOf row_of;
    u32 concerned; // tokens to come
    int token, index, number, count;
    Outlier outlier;

    __device__ __forceinline__ OutlierScan(const float* of, int block_count, int first_block, int end_block, int tokens, RowOf rows)
        : factors(of), blocks(block_count), first(first_block), end(end_block), row_of(rows), concerned(0), token(-1), index(end_block), number(0), count(0)
    {
        const int first_word = first / COUNTS_OF_WORD, words = (end + COUNTS_OF_WORD - 1) / COUNTS_OF_WORD - first_word;
#pragma unroll 8
        for (int i = threadIdx.x % WARP; i < tokens * words; i += WARP)
            if (((const u32*)outlier_counts(row(i / words), blocks))[first_word + i % words] != 0)
                concerned |= 1u << i / words;
        concerned = warp_or(concerned);
    }

    // Moves to the next one: token, index (of the block) and outlier.
    __device__ __forceinline__ bool next()
    {
        while (number == count)
        {
            if (++index >= end)
            {
                if (concerned == 0)
                    return false;
                do
                    token++;
                while ((concerned >> token & 1u) == 0);
                concerned &= ~(1u << token);
                index = first;
            }
            number = 0;
            count = outlier_counts(row(token), blocks)[index];
        }
        outlier = outliers_of((float*)row(token), blocks, index)[number++];
        return true;
    }

private:
    __device__ __forceinline__ const float* row(int i) const { return factors + (i64)row_of(i) * factor_stride(blocks); }
};

template <class RowOf>
__device__ __forceinline__ OutlierScan<RowOf> scan_outliers(const float* factors, int blocks, int first, int end, int tokens, RowOf row_of)
{
    return OutlierScan<RowOf>(factors, blocks, first, end, tokens, row_of);
}

// What an outlier meets in a column of a panel of int8 weights (shorter blocks, as int4 has them, have no outliers): the weight, and its scale
// times the outlier. y = fma(weight, scale, y).
struct OutlierTerm
{
    float weight, scale;

    __device__ __forceinline__ OutlierTerm(const u8* panel, const StreamBlock& block, const Outlier& outlier, int column)
    {
        const u8* tile = panel + block.weights + outlier.k / TILE_ROWS * TileLayout<FORMAT_INT8>::BYTES;
        weight = __int2float_rn(weight_at<FORMAT_INT8>(tile, outlier.k % TILE_ROWS, column));
        scale = outlier.value * scale_at(panel + block.scales, column);
    }
};

// Adds an outlier to sums of a product of tensor cores: of 8 tokens a group and columns column and column + 8 of a panel. Only lanes that have
// its token take it.
template <int GROUPS>
__device__ __forceinline__ void add_outlier(float (&y)[GROUPS][4], int token, const u8* panel, const StreamBlock& block, const Outlier& outlier, int column)
{
    const int first_token = threadIdx.x % 4 * 2;
    const OutlierTerm low(panel, block, outlier, column), high(panel, block, outlier, column + 8);
#pragma unroll
    for (int group = 0; group < GROUPS; group++)
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            const float sum = fma_(i < 2 ? low.weight : high.weight, i < 2 ? low.scale : high.scale, y[group][i]);
            y[group][i] = token == 8 * group + first_token + i % 2 ? sum : y[group][i];
        }
}
