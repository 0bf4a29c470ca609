// The product at memory speed: one warp takes 16 output columns of STREAMS panels along all of K, for up to 8 * GROUPS tokens.
//
// A lane copies what it will need itself into its own slots of shared memory, STAGES tiles ahead, and reads nothing that
// another lane copied: the weights flow without any barrier. Inside an activation block dots are exact in int32; between
// blocks there is one fma, ascending: y = fma(float(dot), x_scale * weight_scale, y), as on the CPU. So a row has the same
// bits whatever the other rows, and those of the CPU's kernels.
#pragma once
#include "outliers.cuh"
#include "tensor_core.cuh"

template <int FORMAT, int GROUPS, int STREAMS, int STAGES>
struct StreamProduct
{
    typedef TileLayout<FORMAT> Tile;
    enum
    {
        WEIGHT_BYTES = Tile::HALF_BYTES * STREAMS,
        VALUE_BYTES = WARP * 8 * GROUPS,
        SCALE_BYTES = WARP * 8 * GROUPS,
        WEIGHT_SCALE_BYTES = WARP * 4 * STREAMS,
        STAGE_BYTES = WEIGHT_BYTES + VALUE_BYTES + SCALE_BYTES + WEIGHT_SCALE_BYTES,
        WARP_BYTES = STAGE_BYTES * STAGES
    };

    const StreamBlock* blocks;
    const u8* panels[STREAMS]; // start that the blocks' bases are from, of this half's columns
    int panel;                 // added as panel * panel_bytes
    int half;
    const s8* values;
    const float* scales;       // factors of rows
    int value_rows[GROUPS];    // element offset of the row of token 8 * group + lane / 4
    int scale_rows[GROUPS][2]; // element offset of the rows of tokens 8 * group + 2 * (lane % 4) and the one after
    float y[STREAMS][GROUPS][4];

    // Rows by token: what is past the last token computes the last one again, and nobody stores it.
    template <class RowOf>
    __device__ __forceinline__ void set_rows(int tokens, int value_stride, int scale_stride, RowOf row_of)
    {
        const int lane = threadIdx.x % WARP;
#pragma unroll
        for (int group = 0; group < GROUPS; group++)
        {
            value_rows[group] = row_of(min(8 * group + lane / 4, tokens - 1)) * value_stride + lane % 4 * 8;
            scale_rows[group][0] = row_of(min(8 * group + lane % 4 * 2, tokens - 1)) * scale_stride;
            scale_rows[group][1] = row_of(min(8 * group + lane % 4 * 2 + 1, tokens - 1)) * scale_stride;
        }
#pragma unroll
        for (int s = 0; s < STREAMS; s++)
#pragma unroll
            for (int group = 0; group < GROUPS; group++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    y[s][group][i] = 0.0f;
    }

    // Begins the copies of one tile into a stage: the block's scales come with its first tile.
    __device__ __forceinline__ void fetch(u8* stage, const StreamBlock& block, int index, int tile) const
    {
        const int lane = threadIdx.x % WARP;
        const i64 at = block.base + (i64)panel * block.panel_bytes;
#pragma unroll
        for (int s = 0; s < STREAMS; s++)
            copy_async<Tile::LANE_BYTES>(
                stage + s * Tile::HALF_BYTES + lane * Tile::LANE_BYTES,
                panels[s] + at + block.weights + tile * Tile::BYTES + half * Tile::HALF_BYTES + lane * Tile::LANE_BYTES);
        stage += WEIGHT_BYTES;
#pragma unroll
        for (int group = 0; group < GROUPS; group++)
            copy_async<8>(stage + (group * WARP + lane) * 8, (const u8*)(values + value_rows[group] + (block.tile + tile) * TILE_ROWS));
        if (tile > 0)
            return;
        stage += VALUE_BYTES;
#pragma unroll
        for (int group = 0; group < GROUPS; group++)
#pragma unroll
            for (int i = 0; i < 2; i++)
                copy_async<4>(stage + (group * WARP + lane) * 8 + i * 4, (const u8*)(scales + scale_rows[group][i] + index));
        stage += SCALE_BYTES;
#pragma unroll
        for (int s = 0; s < STREAMS; s++)
            copy_async<4>(stage + (s * WARP + lane) * 4, panels[s] + at + block.scales + half * HALF_SCALE_BYTES + lane / 4 * 4);
    }

    // Adds the products over blocks [first, end). `shared` has WARP_BYTES for this warp.
    __device__ __forceinline__ void run(u8* shared, int first, int end)
    {
        const int lane = threadIdx.x % WARP;
        int ahead = first, ahead_tile = 0, fetched = 0;
        StreamBlock next = blocks[first];
        StreamBlock block = next;
#pragma unroll 1
        for (int i = 0; i < STAGES - 1; i++)
            advance(shared, ahead, ahead_tile, fetched, next, end);

        int dots[STREAMS][GROUPS][4];
        float x_scales[GROUPS][2];
        float w_scales[STREAMS][2];
        int slot = 0;
        for (int index = first; index < end; index++)
        {
            const int tiles = block.tiles;
#pragma unroll 1
            for (int tile = 0; tile < tiles; tile++)
            {
                copy_wait<STAGES - 2>();
                const u8* stage = shared + slot * STAGE_BYTES;
                if (tile == 0)
                    begin_block(stage, dots, x_scales, w_scales);
                multiply(stage, dots);
                slot = slot + 1 == STAGES ? 0 : slot + 1;
                // Into the slot that was read before this one.
                advance(shared, ahead, ahead_tile, fetched, next, end);
            }
#pragma unroll
            for (int s = 0; s < STREAMS; s++)
#pragma unroll
                for (int group = 0; group < GROUPS; group++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                    {
                        // int4 weights are multiplied as 16 times their value.
                        const int dot = FORMAT == FORMAT_INT4 ? dots[s][group][i] >> 4 : dots[s][group][i];
                        y[s][group][i] = fma_(__int2float_rn(dot), x_scales[group][i % 2] * w_scales[s][i / 2], y[s][group][i]);
                    }
            if (index + 1 < end)
                block = blocks[index + 1];
        }
        copy_wait<0>();
        (void)lane;
    }

    // Adds what outliers of the tokens contribute over blocks [first, end), after all of run.
    template <class RowOf>
    __device__ __forceinline__ void add_outliers(int block_count, int first, int end, int tokens, RowOf row_of)
    {
        if (FORMAT != FORMAT_INT8)
            return;
        auto scan = scan_outliers(scales, block_count, first, end, tokens, row_of);
#pragma unroll 1
        while (scan.next())
        {
            const StreamBlock block = blocks[scan.index];
            const i64 at = block.base + (i64)panel * block.panel_bytes;
            const int column = half * HALF_COLUMNS + threadIdx.x % WARP / 4;
            add_outlier(y[0], scan.token, panels[0] + at, block, scan.outlier, column);
            if (STREAMS == 2)
                add_outlier(y[STREAMS - 1], scan.token, panels[STREAMS - 1] + at, block, scan.outlier, column);
        }
    }

private:
    __device__ __forceinline__ void advance(u8* shared, int& index, int& tile, int& fetched, StreamBlock& block, int end) const
    {
        if (index < end)
        {
            fetch(shared + fetched * STAGE_BYTES, block, index, tile);
            fetched = fetched + 1 == STAGES ? 0 : fetched + 1;
            if (++tile == block.tiles)
            {
                tile = 0;
                if (++index < end)
                    block = blocks[index];
            }
        }
        copy_commit();
    }

    __device__ __forceinline__ void begin_block(const u8* stage, int (&dots)[STREAMS][GROUPS][4], float (&x_scales)[GROUPS][2], float (&w_scales)[STREAMS][2]) const
    {
        const int lane = threadIdx.x % WARP;
        const float* x = (const float*)(stage + WEIGHT_BYTES + VALUE_BYTES);
        const u32* w = (const u32*)(stage + WEIGHT_BYTES + VALUE_BYTES + SCALE_BYTES);
#pragma unroll
        for (int group = 0; group < GROUPS; group++)
#pragma unroll
            for (int i = 0; i < 2; i++)
                x_scales[group][i] = x[(group * WARP + lane) * 2 + i];
#pragma unroll
        for (int s = 0; s < STREAMS; s++)
        {
            const u32 pair = w[s * WARP + lane];
            w_scales[s][0] = bf16_widen(pair & 0xffffu);
            w_scales[s][1] = bf16_widen(pair >> 16);
#pragma unroll
            for (int group = 0; group < GROUPS; group++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    dots[s][group][i] = 0;
        }
    }

    __device__ __forceinline__ void multiply(const u8* stage, int (&dots)[STREAMS][GROUPS][4]) const
    {
        const int lane = threadIdx.x % WARP;
        u32 a[STREAMS][4];
#pragma unroll
        for (int s = 0; s < STREAMS; s++)
        {
            const u8* at = stage + s * Tile::HALF_BYTES + lane * Tile::LANE_BYTES;
            if (FORMAT == FORMAT_INT8)
            {
                const uint4 words = *(const uint4*)at;
                a[s][0] = words.x, a[s][1] = words.y, a[s][2] = words.z, a[s][3] = words.w;
            }
            else
            {
                const uint2 words = *(const uint2*)at;
                a[s][0] = (words.x << 4) & 0xf0f0f0f0u, a[s][1] = (words.y << 4) & 0xf0f0f0f0u;
                a[s][2] = words.x & 0xf0f0f0f0u, a[s][3] = words.y & 0xf0f0f0f0u;
            }
        }
        const uint2* values_at = (const uint2*)(stage + WEIGHT_BYTES);
#pragma unroll
        for (int group = 0; group < GROUPS; group++)
        {
            const uint2 b = values_at[group * WARP + lane];
#pragma unroll
            for (int s = 0; s < STREAMS; s++)
                mma_s8(dots[s][group], a[s], b.x, b.y);
        }
    }
};
