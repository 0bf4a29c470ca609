// Causal attention with a soft cap over a paged KV cache. The soft cap bounds the exponent, so there is no maximum to find: parts of a
// context add up as they are. A context is cut into splits of 1,024 positions, whose sums are formed on their own and added in
// order, here as on the CPU, so that the bits depend neither on who takes a split nor on the rows that share a block.
//
// A thread block takes a tile: up to QUERIES queries (row by row, head by head) of one run of rows and one KV head, and splits of its
// context. Where rows are few, every split is a block and attention_merge adds them up; where they are many, a block takes
// all splits of its tile and divides at once. Scores: a lane is a position, a warp a KV block. Values: a lane is a dimension, a
// warp a V panel, which goes through the positions in order.
// Launch: attention_*: grid (tiles, KV heads); attention_merge: grid (merged tiles, KV heads).
#include "kv_layout.cuh"

#define WARPS 4
#define THREADS (WARPS * WARP)
#define SPLIT_BLOCKS 32

struct AttentionTile
{
    int first_row;   // of the run, in the batch
    int start;       // position of the run's first row
    int first_block; // of the run's sequence, in the table of blocks
    int first_query; // of the run's queries for a KV head: row * group + head
    int queries;
    int first_split;
    int end_split;
    int partial; // where sums go; -1: nobody adds to them, they are divided and go to the output
};

struct AttentionMerge
{
    int first_row;
    int first_query;
    int queries;
    int partial; // of the tile's first split; the others follow
    int splits;
    int unused;
};

struct Attention
{
    KvShape shape;
    const AttentionTile* tiles;
    const AttentionMerge* merges;
    u8* const* blocks;     // KV blocks of all runs
    const float* queries;  // [rows, query_stride]
    float* output;         // [rows, query_heads * head_dim]
    float* partials;       // [partial, KV head, queries of a tile, value_panels * 32 + 32]
    i64 layer;             // bytes from a block's address to this layer's part
    int query_stride;
    int tile_queries;      // that the kernel's tiles have
    float factor;          // multiplier / soft cap
    float soft_cap;
};

__device__ __forceinline__ int sum_stride(const KvShape& shape) { return shape.value_panels * KV_WIDTH + WARP; }

__device__ __forceinline__ float* partial_at(const Attention& p, int partial)
{
    return p.partials + ((i64)partial * p.shape.kv_heads + blockIdx.y) * p.tile_queries * sum_stride(p.shape);
}

// output = sums of weighted values / sum of exponentials, by one warp.
__device__ __forceinline__ void divide(const Attention& p, int first_row, int query, const float* sums)
{
    const int lane = threadIdx.x % WARP, group = p.shape.query_heads / p.shape.kv_heads;
    const float divisor = warp_sum(sums[p.shape.value_panels * KV_WIDTH + lane]);
    float* target = p.output + ((i64)(first_row + query / group) * p.shape.query_heads + blockIdx.y * group + query % group) * p.shape.head_dim;
    for (int i = lane; i < p.shape.head_dim; i += WARP)
        target[i] = __fdiv_rn(sums[i], divisor);
}

template <int FORMAT, int QUERIES>
struct AttentionBlock
{
    typedef KvRow<FORMAT> Row;

    const Attention& p;
    const AttentionTile& tile;
    float* queries; // [QUERIES, head_dim]
    float* scores;  // [WARPS, QUERIES, 32]
    float* sums;    // [QUERIES, sum_stride] of the split
    float* totals;  // [QUERIES, sum_stride]

    __device__ __forceinline__ int group() const { return p.shape.query_heads / p.shape.kv_heads; }

    __device__ __forceinline__ int position(int query) const { return tile.start + (tile.first_query + query) / group(); }

    // The last position that any query sees.
    __device__ __forceinline__ int last() const { return position(tile.queries - 1); }

    __device__ __forceinline__ const u8* head(int block) const
    {
        return p.blocks[tile.first_block + block] + p.layer + (i64)blockIdx.y * p.shape.head_bytes;
    }

    __device__ __forceinline__ void load_queries() const
    {
        const int width = p.shape.head_dim;
        for (int i = threadIdx.x; i < QUERIES * width; i += THREADS)
        {
            const int query = tile.first_query + i / width;
            const i64 row = tile.first_row + query / group();
            queries[i] = i / width < tile.queries ? p.queries[row * p.query_stride + (blockIdx.y * group() + query % group()) * width + i % width] : 0.0f;
        }
    }

    // Exponentials of one KV block: q.k through the dimensions in order, soft cap, and nothing for what a query does not see.
    __device__ __forceinline__ void score(int block) const
    {
        const int lane = threadIdx.x % WARP, width = p.shape.head_dim;
        const u8* at = head(block);
        const float* key_scales = (const float*)at;
        at += p.shape.scale_bytes;
        float dots[QUERIES];
#pragma unroll
        for (int q = 0; q < QUERIES; q++)
            dots[q] = 0.0f;
#pragma unroll 4
        for (int i = 0; i < width; i++)
        {
            const float key = Row::load(at + (i64)i * Row::BYTES, lane);
#pragma unroll
            for (int q = 0; q < QUERIES; q++)
                dots[q] = fma_(queries[q * width + i], key, dots[q]);
        }
        float* target = scores + threadIdx.x / WARP * QUERIES * WARP;
#pragma unroll
        for (int q = 0; q < QUERIES; q++)
        {
            const float dot = Row::HAS_SCALES ? dots[q] * key_scales[lane] : dots[q];
            const bool seen = q < tile.queries && block * KV_TOKENS + lane <= position(q);
            target[q * WARP + lane] = seen ? exp_(p.soft_cap * tanh_(dot * p.factor)) : 0.0f;
        }
    }

    // Adds the exponentials of `count` KV blocks by position mod 32; then they take in the scales of the values.
    __device__ __forceinline__ void add_exponentials(int block, int count) const
    {
        const int lane = threadIdx.x % WARP, stride = sum_stride(p.shape);
        for (int q = threadIdx.x / WARP; q < QUERIES; q += WARPS)
        {
            float* sum = sums + q * stride + p.shape.value_panels * KV_WIDTH + lane;
            for (int i = 0; i < count; i++)
            {
                float* weight = scores + (i * QUERIES + q) * WARP + lane;
                *sum = *sum + *weight;
                if (Row::HAS_SCALES)
                    *weight = *weight * ((const float*)head(block + i))[KV_TOKENS + lane];
            }
        }
    }

    __device__ __forceinline__ void add_values(int block, int count) const
    {
        const int lane = threadIdx.x % WARP, stride = sum_stride(p.shape);
        for (int panel = threadIdx.x / WARP; panel < p.shape.value_panels; panel += WARPS)
        {
            float y[QUERIES];
#pragma unroll
            for (int q = 0; q < QUERIES; q++)
                y[q] = sums[q * stride + panel * KV_WIDTH + lane];
            for (int i = 0; i < count; i++)
            {
                const u8* at = head(block + i) + p.shape.scale_bytes + (i64)(p.shape.head_dim + panel * KV_TOKENS) * Row::BYTES;
                const float* weights = scores + i * QUERIES * WARP;
                // Past the last position memory may hold anything, a NaN too.
                const int rows = min(KV_TOKENS, last() + 1 - (block + i) * KV_TOKENS);
#pragma unroll 4
                for (int s = 0; s < rows; s++)
                {
                    const float value = Row::load(at + s * Row::BYTES, lane);
#pragma unroll
                    for (int q = 0; q < QUERIES; q++)
                        y[q] = fma_(weights[q * WARP + s], value, y[q]);
                }
            }
#pragma unroll
            for (int q = 0; q < QUERIES; q++)
                sums[q * stride + panel * KV_WIDTH + lane] = y[q];
        }
    }

    __device__ __forceinline__ void run() const
    {
        const int warp = threadIdx.x / WARP, length = QUERIES * sum_stride(p.shape);
        load_queries();
        for (int i = threadIdx.x; i < length; i += THREADS)
            totals[i] = 0.0f;
        for (int split = tile.first_split; split < tile.end_split; split++)
        {
            for (int i = threadIdx.x; i < length; i += THREADS)
                sums[i] = 0.0f;
            __syncthreads();
            const int end = min((split + 1) * SPLIT_BLOCKS, last() / KV_TOKENS + 1);
            for (int block = split * SPLIT_BLOCKS; block < end; block += WARPS)
            {
                const int count = min(WARPS, end - block);
                if (warp < count)
                    score(block + warp);
                __syncthreads();
                add_exponentials(block, count);
                if (Row::HAS_SCALES)
                    __syncthreads();
                add_values(block, count);
                __syncthreads();
            }
            for (int i = threadIdx.x; i < length; i += THREADS)
                totals[i] = totals[i] + sums[i];
        }
        __syncthreads();
        if (tile.partial < 0)
        {
            for (int q = warp; q < tile.queries; q += WARPS)
                divide(p, tile.first_row, tile.first_query + q, totals + q * sum_stride(p.shape));
            return;
        }
        float* target = partial_at(p, tile.partial);
        for (int i = threadIdx.x; i < length; i += THREADS)
            target[i] = totals[i];
    }
};

template <int FORMAT, int QUERIES>
__device__ __forceinline__ void attend(const Attention& p)
{
    const AttentionTile tile = p.tiles[blockIdx.x];
    // Grids may be larger than the work.
    if (tile.queries == 0)
        return;
    float* queries = (float*)GROK1_SHARED;
    float* scores = queries + QUERIES * p.shape.head_dim;
    float* sums = scores + WARPS * QUERIES * WARP;
    AttentionBlock<FORMAT, QUERIES>{p, tile, queries, scores, sums, sums + QUERIES * sum_stride(p.shape)}.run();
}

GROK1_KERNEL(attention_f32_8, Attention, THREADS) { attend<KV_FLOAT32, 8>(p); }
GROK1_KERNEL(attention_f32_16, Attention, THREADS) { attend<KV_FLOAT32, 16>(p); }
GROK1_KERNEL(attention_bf16_8, Attention, THREADS) { attend<KV_BF16, 8>(p); }
GROK1_KERNEL(attention_bf16_16, Attention, THREADS) { attend<KV_BF16, 16>(p); }
GROK1_KERNEL(attention_int8_8, Attention, THREADS) { attend<KV_INT8, 8>(p); }
GROK1_KERNEL(attention_int8_16, Attention, THREADS) { attend<KV_INT8, 16>(p); }

// Adds the splits of a tile in order, and divides. A warp takes a query.
GROK1_KERNEL(attention_merge, Attention, THREADS)
{
    const AttentionMerge merge = p.merges[blockIdx.x];
    const int lane = threadIdx.x % WARP, stride = sum_stride(p.shape);
    const i64 split_stride = (i64)p.shape.kv_heads * p.tile_queries * stride;
    for (int q = threadIdx.x / WARP; q < merge.queries; q += WARPS)
    {
        // A lane adds up what it will divide itself, and its own sum of exponentials.
        float* sums = partial_at(p, merge.partial) + q * stride;
        for (int i = lane; i < stride; i += WARP)
        {
            float sum = sums[i];
            for (int split = 1; split < merge.splits; split++)
                sum = sum + sums[split * split_stride + i];
            sums[i] = sum;
        }
        __syncwarp();
        divide(p, merge.first_row, merge.first_query + q, sums);
    }
}
