// The tensor-core product of int8, and copies that run ahead of it.
//
// C[16, 8] += A[16, 32] B[32, 8] in int32, exact. With g = lane / 4 and t = lane % 4, a lane holds
//   a0: A[g, slot t]   a1: A[g + 8, slot t]   a2: A[g, slot t + 4]   a3: A[g + 8, slot t + 4]     (a slot is 4 values of k)
//   b0: B[slot t, g]   b1: B[slot t + 4, g]
//   c0: C[g, 2t]       c1: C[g, 2t + 1]       c2: C[g + 8, 2t]       c3: C[g + 8, 2t + 1]
// A is weights (16 output columns), B is activations (8 tokens). Sums of integers do not depend on the order of k, so slot t
// is rows 8t..8t+3 of the tile and slot t + 4 rows 8t+4..8t+7: then a lane's activations are 8 neighbouring bytes, and
// the two halves of a byte of int4 weights lie in one lane.
#pragma once
#include "common.cuh"

#ifndef GROK1_OWN_TENSOR_CORE
__device__ __forceinline__ void mma_s8(int (&c)[4], const u32 (&a)[4], const u32 b0, const u32 b1)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
    // Turing has the quarter of it, with the same lanes for the same elements.
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};" : "+r"(c[0]), "+r"(c[1]) : "r"(a[0]), "r"(b0));
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};" : "+r"(c[0]), "+r"(c[1]) : "r"(a[2]), "r"(b1));
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};" : "+r"(c[2]), "+r"(c[3]) : "r"(a[1]), "r"(b0));
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};" : "+r"(c[2]), "+r"(c[3]) : "r"(a[3]), "r"(b1));
#endif
}

// Copies BYTES (4, 8 or 16) from global to shared memory in the background; aligned to BYTES.
template <int BYTES>
__device__ __forceinline__ void copy_async(u8* shared, const u8* global)
{
#if __CUDA_ARCH__ >= 800
    const u32 target = (u32)__cvta_generic_to_shared(shared);
    if (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(global) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(target), "l"(global), "n"(BYTES) : "memory");
#else
    if (BYTES == 16)
        *(uint4*)shared = *(const uint4*)global;
    else if (BYTES == 8)
        *(uint2*)shared = *(const uint2*)global;
    else
        *(u32*)shared = *(const u32*)global;
#endif
}

// Closes the group of copies begun since the last call; an empty group is a group.
__device__ __forceinline__ void copy_commit()
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most PENDING of this thread's groups are under way.
template <int PENDING>
__device__ __forceinline__ void copy_wait()
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
#endif
}
#endif
