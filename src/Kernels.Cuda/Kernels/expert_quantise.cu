// Hidden activations to int8 blocks and their outliers: the operations of the CPU's ActivationQuantizer.
// Launch: one warp for each pair and each activation block of its tile, grid (ceil(most blocks of a tile / WARPS), pairs).
#include "outliers.cuh"

#define WARPS 4

GROK1_KERNEL(expert_quantise, ExpertCall, WARPS * WARP)
{
    const int lane = threadIdx.x % WARP;
    const int pair = blockIdx.y;
    int item = 0;
    while (item + 1 < p.item_count && pair >= p.items[item + 1].first_pair)
        item++;
    // Grids may be larger than the work.
    if (pair >= p.items[item].first_pair + p.items[item].pairs)
        return;
    const int index = p.items[item].first_hidden + blockIdx.x * WARPS + threadIdx.x / WARP;
    if (index >= p.items[item].end_hidden)
        return;
    const StreamBlock block = p.shape.hidden_blocks[index];
    const i64 at = (i64)pair * p.shape.hidden_stride + block.tile * TILE_ROWS;

    float x[4];
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        const int k = i * WARP + lane;
        x[i] = k < block.length ? p.hidden[at + k] : 0.0f;
    }
    const int blocks = p.shape.hidden_block_count;
    quantise_block(x, block, index, p.hidden_values + at, p.hidden_scales + (i64)pair * factor_stride(blocks), blocks);
}
