// A KV block's part of one layer, as on the CPU (KvBlockLayout): for each KV head scales (int8: float32 [32] of the keys, [32] of
// the values), the K panel [head_dim][32 positions], the V panels [32 positions][32 dimensions].
#pragma once
#include "common.cuh"

#define KV_TOKENS 32
#define KV_WIDTH 32

enum { KV_FLOAT32 = 0, KV_BF16 = 1, KV_INT8 = 2 };

struct KvShape
{
    int head_dim;
    int kv_heads;
    int query_heads;
    int value_panels; // V panels of a head
    int head_bytes;   // from one KV head to the next
    int scale_bytes;  // of a head, before its keys
};

// A row of 32 elements.
template <int FORMAT>
struct KvRow;

template <>
struct KvRow<KV_FLOAT32>
{
    enum { BYTES = 128, HAS_SCALES = 0 };
    __device__ __forceinline__ static float load(const u8* row, int element) { return ((const float*)row)[element]; }
    __device__ __forceinline__ static void store(u8* row, int element, float value) { ((float*)row)[element] = value; }
};

// Words of two: element j low, element j + 16 high.
template <>
struct KvRow<KV_BF16>
{
    enum { BYTES = 64, HAS_SCALES = 0 };
    __device__ __forceinline__ static float load(const u8* row, int element) { return bf16_widen(((const u16*)row)[element % 16 * 2 + element / 16]); }
    __device__ __forceinline__ static void store(u8* row, int element, float value) { ((u16*)row)[element % 16 * 2 + element / 16] = bf16_round(value); }
};

// Values come scaled to -127..127.
template <>
struct KvRow<KV_INT8>
{
    enum { BYTES = 32, HAS_SCALES = 1 };
    __device__ __forceinline__ static float load(const u8* row, int element) { return __int2float_rn(((const s8*)row)[element]); }
    __device__ __forceinline__ static void store(u8* row, int element, float value) { ((s8*)row)[element] = (s8)__float2int_rn(value); }
};
