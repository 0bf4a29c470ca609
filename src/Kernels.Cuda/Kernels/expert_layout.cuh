// How an expert's weights lie in device memory, and what a call asks of them.
//
// Device layout: as the store's (panels of 32 output columns, each a stream along K), with two changes made once, on upload, by
// repack.cu: every activation block is padded to tiles of 32 rows, and inside a tile the words lie in the order in which the
// lanes of a tensor-core product need them, so that a warp's loads are whole contiguous lines.
//   int8 tile, 1024 bytes: for each half h of 16 columns: for each lane: a0..a3 (16 bytes; see tensor_core.cuh), signed bytes.
//   int4 tile,  576 bytes: for each half h: for each lane: the words of columns g and g + 8, rows 8t..8t+3 in the low and
//                          8t+4..8t+7 in the high halves of its bytes, two's complement; then the scales of the block.
//   scales,      64 bytes: for each half h: for g in 0..7: bfloat16 of column g, bfloat16 of column g + 8.
//   int8 scales: one such row a weight group, after the panel's tiles.
#pragma once
#include "common.cuh"

#define PANEL_COLUMNS 32
#define HALF_COLUMNS 16
#define TILE_ROWS 32
#define SCALE_ROW_BYTES 64
#define HALF_SCALE_BYTES 32

enum { FORMAT_INT8 = 0, FORMAT_INT4 = 1 };

template <int FORMAT>
struct TileLayout;

template <>
struct TileLayout<FORMAT_INT8>
{
    enum { BYTES = 1024, HALF_BYTES = 512, LANE_BYTES = 16 };
};

template <>
struct TileLayout<FORMAT_INT4>
{
    enum { BYTES = 576, HALF_BYTES = 256, LANE_BYTES = 8 };
};

// The weight in row k of a tile.
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

// One activation block of an axis, and where its weights are: panel i of the block begins at base + i * panel_bytes.
struct StreamBlock
{
    i64 base;        // bytes from what the caller gives as the start
    int panel_bytes; // from one panel to the next
    int weights;     // bytes from the panel's start to the block's first tile
    int scales;      // bytes from the panel's start to the block's row of scales
    int tile;        // first tile along the axis: the block's activations begin at 32 * tile
    int tiles;       // 1 to 4
    int start;       // first index of the axis
    int length;      // indices
    int unused;
};

// One tile of a call: a run of (row, gate) pairs that goes through some expert blocks of one expert.
struct ExpertItem
{
    const u8* weights; // where block 0 of the expert would be; block e is at weights + block_offsets[e]
    int first_pair;
    int pairs;
    int first_block;  // expert blocks [first_block, end_block)
    int end_block;
    int first_panel;  // hidden panels of the items before this one
    int first_hidden; // activation blocks of the hidden axis [first_hidden, end_hidden)
    int end_hidden;
    int unused;
};

// The same for every call of a model.
struct ExpertShape
{
    const StreamBlock* input_blocks;  // [input_block_count] of gate and up, over EmbeddingDim
    const StreamBlock* hidden_blocks; // [...] of down, over FeedForwardDim; base is from where block 0 would be
    const i64* block_offsets;         // [expert blocks]
    const int* hidden_positions;      // [feed_forward_dim]: where a hidden column lies in a hidden row, padding counted
    int input_block_count;
    int input_stride;       // activations of a row, padded
    int input_panel_bytes;  // gate and up panels take turns from a block's start
    int block_width;        // hidden columns of an expert block
    int feed_forward_dim;
    int hidden_stride;      // activations of a hidden row, padded
    int hidden_block_count;
    int columns;            // EmbeddingDim
};

// A call: kernels find their work in tables, so a launch differs from the next in its grid alone.
struct ExpertCall
{
    ExpertShape shape;
    const ExpertItem* items; // [item_count]
    const int* rows;         // [pairs]
    const float* gates;      // [pairs]
    const s8* x_values;      // [rows, input_stride]; fast
    const float* x_scales;   // [rows]: factors (outliers.cuh) of input_block_count blocks; fast
    const float* x_floats;   // [rows, input_stride]; exact
    float* hidden;           // [pairs, hidden_stride] float32: what gate and up give; padding is never written nor read
    s8* hidden_values;       // [pairs, hidden_stride]; fast
    float* hidden_scales;    // [pairs]: factors of hidden_block_count blocks; fast
    float* y;                // [pairs, columns]
    const int* touched_rows; // [row_count] rows that have pairs
    const int* row_starts;   // [row_count + 1]: the pairs of touched row i are row_pairs[row_starts[i] ..), in the order of the sum
    const int* row_pairs;
    float* sum;              // [rows, columns]
    int item_count;
    int row_count;
};

// The item that a hidden panel belongs to.
__device__ __forceinline__ int item_of_panel(const ExpertCall& p, int panel)
{
    int item = 0;
    while (item + 1 < p.item_count && panel >= p.items[item + 1].first_panel)
        item++;
    return item;
}

// Gate panel of a hidden panel of an item, up follows it; null when the item has not so many: grids may be larger than the work.
__device__ __forceinline__ const u8* gate_panel(const ExpertCall& p, const ExpertItem& item, int panel, int& first_column)
{
    const int panels_per_block = p.shape.block_width / PANEL_COLUMNS;
    const int block = item.first_block + panel / panels_per_block;
    first_column = block * p.shape.block_width + panel % panels_per_block * PANEL_COLUMNS;
    if (block >= item.end_block || first_column >= p.shape.feed_forward_dim)
        return 0;
    return item.weights + p.shape.block_offsets[block] + (i64)(2 * (panel % panels_per_block)) * p.shape.input_panel_bytes;
}
