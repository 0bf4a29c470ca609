// What every kernel uses. NVRTC compiles these files, so nothing of the CUDA toolkit's headers is included: numbers that
// NVRTC does not have built in (bfloat16) are made from bits. Multiply-adds are written out (fma) and the compiler is told
// never to make them by itself (--fmad=false), because results are meant to have the bits of the CPU's kernels.
#pragma once

typedef signed char s8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;

// A kernel takes one struct by value: the same launch interface serves the driver and the CPU emulator of the tests, which
// defines this macro itself.
#ifndef GROK1_KERNEL
#define GROK1_KERNEL(name, Params, threads) extern "C" __global__ void __launch_bounds__(threads) name(const Params p)
#endif

// The launch's shared memory: dynamic only, so that the host knows its size.
#ifndef GROK1_SHARED
extern __shared__ __align__(16) u8 grok1_shared[];
#define GROK1_SHARED grok1_shared
#endif

#define WARP 32
#define ALL_LANES 0xffffffffu

__device__ __forceinline__ float bf16_widen(u32 bits) { return __uint_as_float(bits << 16); }

// To nearest, ties to even; finite numbers and infinities.
__device__ __forceinline__ u16 bf16_round(float x)
{
    const u32 bits = __float_as_uint(x);
    return (u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

__device__ __forceinline__ float fma_(float a, float b, float c) { return __fmaf_rn(a, b, c); }

// e to the x, saturating outside -87.3 to 88.376: the operations of the CPU's FastMath.Exp in their order (Cephes).
__device__ __forceinline__ float exp_(float x)
{
    x = -87.3f > x ? -87.3f : x;
    x = 88.3762626647949f < x ? 88.3762626647949f : x;
    const float biased = fma_(x, 1.44269504088896341f, 12582912.0f);
    const float n = biased - 12582912.0f;
    float r = fma_(n, -0.693359375f, x);
    r = fma_(n, 2.12194440e-4f, r);
    float q = fma_(1.9875691500e-4f, r, 1.3981999507e-3f);
    q = fma_(q, r, 8.3334519073e-3f);
    q = fma_(q, r, 4.1665795894e-2f);
    q = fma_(q, r, 1.6666665459e-1f);
    q = fma_(q, r, 5.0000001201e-1f);
    q = fma_(q, r * r, r) + 1.0f;
    return q * __int_as_float((__float_as_int(biased) + 127) << 23);
}

__device__ __forceinline__ float sigmoid_(float x) { return __fdiv_rn(1.0f, 1.0f + exp_(-x)); }

// gelu(gate) * up with the tanh approximation: the CPU's GeluTanh.
__device__ __forceinline__ float gelu_gate(float gate, float up)
{
    const float inner = fma_(gate * gate * gate, 0.044715f, gate);
    return gate * sigmoid_(inner * 1.5957691216057308f) * up;
}

// tanh: the operations of the CPU's FastMath.Tanh.
__device__ __forceinline__ float tanh_(float x)
{
    if (!(fabsf(x) < 0.625f))
        return 1.0f - __fdiv_rn(2.0f, exp_(x + x) + 1.0f);
    const float z = x * x;
    float q = fma_(-5.70498872745e-3f, z, 2.06390887954e-2f);
    q = fma_(q, z, -5.37397155531e-2f);
    q = fma_(q, z, 1.33314422036e-1f);
    q = fma_(q, z, -3.33332819422e-1f);
    return fma_(q * z, x, x);
}

__device__ __forceinline__ float warp_max(float x)
{
#pragma unroll
    for (int step = 16; step > 0; step >>= 1)
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, step));
    return x;
}

// A butterfly: every lane gets the same bits, and the order depends on nothing.
__device__ __forceinline__ float warp_sum(float x)
{
#pragma unroll
    for (int step = 16; step > 0; step >>= 1)
        x = x + __shfl_xor_sync(ALL_LANES, x, step);
    return x;
}
