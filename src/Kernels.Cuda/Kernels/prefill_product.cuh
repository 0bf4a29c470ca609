// The product for many tokens: the weights are shared by 64 tokens through shared memory, and what int8 or int4 weights need to
// become numbers is one fma a block, in registers. The arithmetic of expert_stream.cuh, hence its bits.
//
// A thread block takes 4 panels and 64 tokens; each of its 8 warps one panel (32 columns) and 32 of the tokens.
#pragma once
#include "outliers.cuh"
#include "tensor_core.cuh"

#define WARPS 8
#define THREADS (WARPS * WARP)
#define PANELS 4
#define TOKENS 64
#define WARP_TOKENS 32
#define GROUPS (WARP_TOKENS / 8)
// Threads that copy one panel.
#define PANEL_THREADS (THREADS / PANELS)
#define STAGES 3
// Tiles of a stage: half of a full block.
#define STAGE_TILES 2

template <int FORMAT>
struct Stage
{
    typedef TileLayout<FORMAT> Tile;
    enum
    {
        TILE_WEIGHTS = 2 * Tile::HALF_BYTES,
        WEIGHT_BYTES = PANELS * STAGE_TILES * TILE_WEIGHTS,
        VALUE_BYTES = STAGE_TILES * TOKENS * TILE_ROWS,
        WEIGHT_SCALE_BYTES = PANELS * SCALE_ROW_BYTES,
        SCALE_BYTES = TOKENS * 4,
        BYTES = WEIGHT_BYTES + VALUE_BYTES + WEIGHT_SCALE_BYTES + SCALE_BYTES
    };
};

// Where the loop over stages is.
struct Cursor
{
    int index; // activation block
    int tile;  // its next tile
};

template <int FORMAT, class RowOf>
struct PrefillProduct
{
    typedef Stage<FORMAT> Memory;
    typedef TileLayout<FORMAT> Tile;

    const StreamBlock* blocks;
    const u8* panel_start; // of the panel that this thread copies: start that the blocks' bases are from
    int panel_number;      // times panel_bytes
    const s8* values;
    const float* scales; // factors of rows
    int value_stride, scale_stride, tokens;
    RowOf row_of;
    float y[2][GROUPS][4]; // of this warp: halves of the panel, groups of 8 tokens

    __device__ __forceinline__ PrefillProduct(RowOf of) : row_of(of) {}

    __device__ __forceinline__ int token(int i) const { return row_of(min(i, tokens - 1)); }

    // All threads copy a stage together: up to STAGE_TILES tiles of one block, and with its first tile the block's scales.
    __device__ __forceinline__ void fetch(u8* stage, const Cursor at) const
    {
        const StreamBlock block = blocks[at.index];
        const int count = min(STAGE_TILES, block.tiles - at.tile);
        const int chunks = Memory::TILE_WEIGHTS / 16;
        const int copied = threadIdx.x / PANEL_THREADS, mine = threadIdx.x % PANEL_THREADS;
        const u8* panel = panel_start + block.base + (i64)panel_number * block.panel_bytes;
        for (int i = mine; i < count * chunks; i += PANEL_THREADS)
            copy_async<16>(
                stage + copied * STAGE_TILES * Memory::TILE_WEIGHTS + i * 16, panel + block.weights + (at.tile + i / chunks) * Tile::BYTES + i % chunks * 16);
        stage += Memory::WEIGHT_BYTES;
        for (int i = threadIdx.x; i < count * TOKENS * 2; i += THREADS)
        {
            const int tile = i / (TOKENS * 2), t = i / 2 % TOKENS;
            copy_async<16>(stage + (tile * TOKENS + t) * TILE_ROWS + i % 2 * 16, (const u8*)(values + (i64)token(t) * value_stride + (block.tile + at.tile + tile) * TILE_ROWS + i % 2 * 16));
        }
        if (at.tile > 0)
            return;
        stage += Memory::VALUE_BYTES;
        if (mine < SCALE_ROW_BYTES / 16)
            copy_async<16>(stage + copied * SCALE_ROW_BYTES + mine * 16, panel + block.scales + mine * 16);
        stage += Memory::WEIGHT_SCALE_BYTES;
        for (int i = threadIdx.x; i < TOKENS; i += THREADS)
            copy_async<4>(stage + i * 4, (const u8*)(scales + (i64)token(i) * scale_stride + at.index));
    }

    __device__ __forceinline__ void run(u8* shared, int first, int end)
    {
        const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
        const int panel = warp % PANELS, first_token = warp / PANELS * WARP_TOKENS;
        int dots[2][GROUPS][4];
        float w_scales[2][2];
        float2 x_scales[GROUPS];
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
            for (int group = 0; group < GROUPS; group++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    y[half][group][i] = 0.0f;

        Cursor ahead = {first, 0}, at = {first, 0};
        int fetched = 0, slot = 0;
        for (int i = 0; i < STAGES - 1; i++)
            advance(shared, ahead, fetched, end);
        while (at.index < end)
        {
            copy_wait<STAGES - 2>();
            // Now every thread's part of this stage is there, and nobody reads the stage before it any more.
            __syncthreads();
            advance(shared, ahead, fetched, end);
            const u8* stage = shared + slot * Memory::BYTES;
            const int tiles = blocks[at.index].tiles;
            if (at.tile == 0)
            {
                const u8* scale_rows = stage + Memory::WEIGHT_BYTES + Memory::VALUE_BYTES;
#pragma unroll
                for (int half = 0; half < 2; half++)
                {
                    const u32 pair = *(const u32*)(scale_rows + panel * SCALE_ROW_BYTES + half * HALF_SCALE_BYTES + lane / 4 * 4);
                    w_scales[half][0] = bf16_widen(pair & 0xffffu);
                    w_scales[half][1] = bf16_widen(pair >> 16);
                }
                const float* x = (const float*)(scale_rows + Memory::WEIGHT_SCALE_BYTES);
#pragma unroll
                for (int group = 0; group < GROUPS; group++)
                    x_scales[group] = *(const float2*)(x + first_token + group * 8 + lane % 4 * 2);
#pragma unroll
                for (int half = 0; half < 2; half++)
#pragma unroll
                    for (int group = 0; group < GROUPS; group++)
#pragma unroll
                        for (int i = 0; i < 4; i++)
                            dots[half][group][i] = 0;
            }
#pragma unroll
            for (int tile = 0; tile < STAGE_TILES; tile++)
                if (at.tile + tile < tiles)
                    multiply(stage, panel, first_token, tile, dots);
            at.tile += STAGE_TILES;
            if (at.tile >= tiles)
            {
                finish(dots, w_scales, x_scales);
                at.index++;
                at.tile = 0;
            }
            slot = slot + 1 == STAGES ? 0 : slot + 1;
        }
        copy_wait<0>();
        __syncthreads();
    }

    // Adds what outliers of this warp's tokens contribute to its panel, which lies at `panels` + number * panel_bytes, after all of run.
    __device__ __forceinline__ void add_outliers(const u8* panels, int number, int block_count, int first, int end)
    {
        if (FORMAT != FORMAT_INT8)
            return;
        const int first_token = threadIdx.x / WARP / PANELS * WARP_TOKENS;
        const RowOf of = row_of;
        auto scan = scan_outliers(scales, block_count, first, end, min(WARP_TOKENS, tokens - first_token), [=](int i) { return of(first_token + i); });
#pragma unroll 1
        while (scan.next())
        {
            const StreamBlock block = blocks[scan.index];
            const u8* panel = panels + block.base + (i64)number * block.panel_bytes;
            const int column = threadIdx.x % WARP / 4;
            add_outlier(y[0], scan.token, panel, block, scan.outlier, column);
            add_outlier(y[1], scan.token, panel, block, scan.outlier, HALF_COLUMNS + column);
        }
    }

private:
    __device__ __forceinline__ void advance(u8* shared, Cursor& cursor, int& fetched, int end) const
    {
        if (cursor.index < end)
        {
            fetch(shared + fetched * Memory::BYTES, cursor);
            fetched = fetched + 1 == STAGES ? 0 : fetched + 1;
            cursor.tile += STAGE_TILES;
            if (cursor.tile >= blocks[cursor.index].tiles)
            {
                cursor.index++;
                cursor.tile = 0;
            }
        }
        copy_commit();
    }

    __device__ __forceinline__ static void multiply(const u8* stage, int panel, int first_token, int tile, int (&dots)[2][GROUPS][4])
    {
        const int lane = threadIdx.x % WARP;
        u32 a[2][4];
#pragma unroll
        for (int half = 0; half < 2; half++)
        {
            const u8* at = stage + (panel * STAGE_TILES + tile) * Memory::TILE_WEIGHTS + half * Tile::HALF_BYTES + lane * Tile::LANE_BYTES;
            if (FORMAT == FORMAT_INT8)
            {
                const uint4 words = *(const uint4*)at;
                a[half][0] = words.x, a[half][1] = words.y, a[half][2] = words.z, a[half][3] = words.w;
            }
            else
            {
                const uint2 words = *(const uint2*)at;
                a[half][0] = (words.x << 4) & 0xf0f0f0f0u, a[half][1] = (words.y << 4) & 0xf0f0f0f0u;
                a[half][2] = words.x & 0xf0f0f0f0u, a[half][3] = words.y & 0xf0f0f0f0u;
            }
        }
        const u8* values_at = stage + Memory::WEIGHT_BYTES + (tile * TOKENS + first_token) * TILE_ROWS;
#pragma unroll
        for (int group = 0; group < GROUPS; group++)
        {
            const uint2 b = *(const uint2*)(values_at + (group * 8 + lane / 4) * TILE_ROWS + lane % 4 * 8);
            mma_s8(dots[0][group], a[0], b.x, b.y);
            mma_s8(dots[1][group], a[1], b.x, b.y);
        }
    }

    __device__ __forceinline__ void finish(const int (&dots)[2][GROUPS][4], const float (&w_scales)[2][2], const float2 (&x_scales)[GROUPS])
    {
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
            for (int group = 0; group < GROUPS; group++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                {
                    const int dot = FORMAT == FORMAT_INT4 ? dots[half][group][i] >> 4 : dots[half][group][i];
                    const float x_scale = i % 2 == 0 ? x_scales[group].x : x_scales[group].y;
                    y[half][group][i] = fma_(__int2float_rn(dot), x_scale * w_scales[half][i / 2], y[half][group][i]);
                }
    }
};

template <int FORMAT, class RowOf>
__device__ __forceinline__ PrefillProduct<FORMAT, RowOf> make_product(RowOf row_of)
{
    return PrefillProduct<FORMAT, RowOf>(row_of);
}
