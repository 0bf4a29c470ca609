// Rotary positions (xAI's rotate_half: element i pairs with i + head_dim / 2), then keys and values into the KV cache. Queries are
// rotated where they are. No fused operation, as on the CPU.
// Launch: one warp for each head of query, key and value, grid (ceil(heads / WARPS), rows).
#include "kv_layout.cuh"

#define WARPS 4

// Where a row stands.
struct RowPlace
{
    u8* block;    // of its KV block, all layers; null: grids may be larger than the work
    int position; // in its sequence
    int unused;
};

struct KvStore
{
    KvShape shape;
    float* rows;           // [rows, stride]: query, key and value heads
    const RowPlace* places; // [rows]
    const float* cosines;  // [positions, head_dim / 2]
    const float* sines;
    i64 layer;             // bytes from a block's address to this layer's part
    int stride;
    int key;               // column of the first key head
    int value;             // column of the first value head
    int unused;
};

__device__ __forceinline__ float rotated(const float* head, const float* cosines, const float* sines, int i, int half)
{
    if (i < half)
        return head[i] * cosines[i] - head[i + half] * sines[i];
    return head[i] * cosines[i - half] + head[i - half] * sines[i - half];
}

__device__ __forceinline__ void rotate_in_place(float* head, const float* cosines, const float* sines, int half)
{
    for (int i = threadIdx.x % WARP; i < half; i += WARP)
    {
        const float x = head[i], y = head[i + half];
        head[i] = x * cosines[i] - y * sines[i];
        head[i + half] = y * cosines[i] + x * sines[i];
    }
}

// What elements are multiplied by before they are stored; stores the scale, for formats that have one.
template <int FORMAT, class Element>
__device__ __forceinline__ float scale_of(Element element, int count, float* scale)
{
    if (!KvRow<FORMAT>::HAS_SCALES)
        return 1.0f;
    float largest = 0.0f;
    for (int i = threadIdx.x % WARP; i < count; i += WARP)
        largest = fmaxf(largest, fabsf(element(i)));
    largest = warp_max(largest);
    if (threadIdx.x % WARP == 0)
        *scale = __fdiv_rn(largest, 127.0f);
    return largest < 1e-30f ? 0.0f : __fdiv_rn(127.0f, largest);
}

template <int FORMAT>
__device__ __forceinline__ void kv_store(const KvStore& p)
{
    typedef KvRow<FORMAT> Row;
    const int lane = threadIdx.x % WARP;
    const int unit = blockIdx.x * WARPS + threadIdx.x / WARP;
    const int width = p.shape.head_dim, half = width / 2;
    if (unit >= p.shape.query_heads + 2 * p.shape.kv_heads)
        return;
    const RowPlace place = p.places[blockIdx.y];
    if (place.block == 0)
        return;
    float* row = p.rows + (i64)blockIdx.y * p.stride;
    const float* cosines = p.cosines + (i64)place.position * half;
    const float* sines = p.sines + (i64)place.position * half;
    if (unit < p.shape.query_heads)
    {
        rotate_in_place(row + unit * width, cosines, sines, half);
        return;
    }
    const int head = (unit - p.shape.query_heads) % p.shape.kv_heads;
    const int slot = place.position % KV_TOKENS;
    u8* at = place.block + p.layer + (i64)head * p.shape.head_bytes;
    float* scales = (float*)at;
    at += p.shape.scale_bytes;
    if (unit < p.shape.query_heads + p.shape.kv_heads)
    {
        const float* key = row + p.key + head * width;
        const auto element = [=](int i) { return rotated(key, cosines, sines, i, half); };
        const float factor = scale_of<FORMAT>(element, width, scales + slot);
        for (int i = lane; i < width; i += WARP)
            Row::store(at + (i64)i * Row::BYTES, slot, element(i) * factor);
        return;
    }
    const float* value = row + p.value + head * width;
    const auto element = [=](int i) { return value[i]; };
    const float factor = scale_of<FORMAT>(element, width, scales + KV_TOKENS + slot);
    at += (i64)width * Row::BYTES;
    for (int panel = 0; panel < p.shape.value_panels; panel++)
    {
        const int i = panel * KV_WIDTH + lane;
        Row::store(at + (i64)(panel * KV_TOKENS + slot) * Row::BYTES, lane, i < width ? element(i) * factor : 0.0f);
    }
}

GROK1_KERNEL(kv_store_f32, KvStore, WARPS * WARP) { kv_store<KV_FLOAT32>(p); }
GROK1_KERNEL(kv_store_bf16, KvStore, WARPS * WARP) { kv_store<KV_BF16>(p); }
GROK1_KERNEL(kv_store_int8, KvStore, WARPS * WARP) { kv_store<KV_INT8>(p); }
