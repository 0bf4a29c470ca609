// Hidden activations to int8 blocks: scale = max |x| / 127, value = round-half-even(x * (127 / max |x|)), the operations of
// the CPU's ActivationQuantizer. A block of zeros has scale 0.
// Launch: one warp for each pair and each activation block of its tile, grid (ceil(most blocks of a tile / WARPS), pairs).
#include "expert_layout.cuh"

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
    float largest = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        const int k = i * WARP + lane;
        x[i] = k < block.length ? p.hidden[at + k] : 0.0f;
        largest = fmaxf(largest, fabsf(x[i]));
    }
    largest = warp_max(largest);
    const float inverse = largest < 1e-30f ? 0.0f : __fdiv_rn(127.0f, largest);
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (i < block.tiles)
            p.hidden_values[at + i * WARP + lane] = (s8)__float2int_rn(x[i] * inverse);
    if (lane == 0)
        p.hidden_scales[(i64)pair * p.shape.hidden_block_count + index] = __fdiv_rn(largest, 127.0f);
}
