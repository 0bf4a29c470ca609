// Panels of the store's layout to those of device memory (expert_layout.cuh), once, after a block was uploaded.
// Launch: one warp for each panel and each activation block, or, for int8, each row of scales: grid (panels, blocks + scale rows).
#include "expert_layout.cuh"

struct RepackBlock
{
    int rows;    // rows of the block in the store, its padding counted
    int source;  // bytes from the source panel's start
    int target;  // bytes from the target panel's start
    int tiles;
};

struct RepackPanels
{
    const u8* source; // panel 0
    u8* target;
    const RepackBlock* blocks; // [block_count]
    i64 source_panel_bytes;
    i64 target_panel_bytes;
    const u16* scales;       // int8: bfloat16 of group 0, column 0 of panel 0
    i64 scale_panel_stride;  // elements between the scales of one panel and the next
    i64 scale_group_stride;  // elements between the scales of one weight group and the next
    i64 target_scales;       // bytes from the target panel's start to its first row of scales
    int block_count;
};

// A row of scales in the order of the lanes: columns g and g + 8 side by side.
__device__ __forceinline__ void repack_scales(const u16* source, u16* target)
{
    const int lane = threadIdx.x;
    target[lane] = source[lane / HALF_COLUMNS * HALF_COLUMNS + lane % HALF_COLUMNS / 2 + lane % 2 * 8];
}

GROK1_KERNEL(repack_int8, RepackPanels, WARP)
{
    const int lane = threadIdx.x, g = lane / 4, t = lane % 4;
    u8* target = p.target + blockIdx.x * p.target_panel_bytes;
    if ((int)blockIdx.y >= p.block_count)
    {
        const int group = blockIdx.y - p.block_count;
        repack_scales(p.scales + blockIdx.x * p.scale_panel_stride + group * p.scale_group_stride, (u16*)(target + p.target_scales + group * SCALE_ROW_BYTES));
        return;
    }
    const RepackBlock block = p.blocks[blockIdx.y];
    const u32* source = (const u32*)(p.source + blockIdx.x * p.source_panel_bytes + block.source);
    target += block.target;
    for (int tile = 0; tile < block.tiles; tile++)
        for (int half = 0; half < 2; half++)
        {
            u32 words[4];
            for (int i = 0; i < 4; i++)
            {
                const int four = tile * 8 + 2 * t + i / 2;
                words[i] = four * 4 < block.rows ? source[four * PANEL_COLUMNS + half * HALF_COLUMNS + g + i % 2 * 8] ^ 0x80808080u : 0;
            }
            *(uint4*)(target + tile * TileLayout<FORMAT_INT8>::BYTES + half * TileLayout<FORMAT_INT8>::HALF_BYTES + lane * 16) = make_uint4(words[0], words[1], words[2], words[3]);
        }
}

GROK1_KERNEL(repack_int4, RepackPanels, WARP)
{
    const int lane = threadIdx.x, g = lane / 4, t = lane % 4;
    const RepackBlock block = p.blocks[blockIdx.y];
    const u8* source = p.source + blockIdx.x * p.source_panel_bytes + block.source;
    u8* target = p.target + blockIdx.x * p.target_panel_bytes + block.target;
    const u32* words = (const u32*)source;
    for (int half = 0; half < 2; half++)
    {
        const int column = t * PANEL_COLUMNS + half * HALF_COLUMNS + g;
        *(uint2*)(target + half * TileLayout<FORMAT_INT4>::HALF_BYTES + lane * 8) = make_uint2(words[column] ^ 0x88888888u, words[column + 8] ^ 0x88888888u);
    }
    repack_scales((const u16*)(source + 512), (u16*)(target + 512));
}
