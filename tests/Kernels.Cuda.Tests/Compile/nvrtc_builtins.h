// What NVRTC has built in and clang without the CUDA toolkit has not: only what the kernels use.
#pragma once
#define __device__ __attribute__((device))
#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))
#define __align__(n) __attribute__((aligned(n)))

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
#include <__clang_cuda_builtin_vars.h>
struct uint2 { unsigned x, y; } __attribute__((aligned(8)));
struct uint4 { unsigned x, y, z, w; } __attribute__((aligned(16)));
struct float2 { float x, y; } __attribute__((aligned(8)));
struct float4 { float x, y, z, w; } __attribute__((aligned(16)));
__device__ __forceinline__ uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
__device__ __forceinline__ uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
__device__ __forceinline__ float2 make_float2(float x, float y) { return {x, y}; }
__device__ __forceinline__ float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

__device__ __forceinline__ float __fmaf_rn(float a, float b, float c) { return __nvvm_fma_rn_f(a, b, c); }
__device__ __forceinline__ float __fdiv_rn(float a, float b) { return __nvvm_div_rn_f(a, b); }
__device__ __forceinline__ float __fsqrt_rn(float a) { return __nvvm_sqrt_rn_f(a); }
__device__ __forceinline__ int __float2int_rn(float a) { return __nvvm_f2i_rn(a); }
__device__ __forceinline__ float __int2float_rn(int a) { return __nvvm_i2f_rn(a); }
__device__ __forceinline__ float __uint_as_float(unsigned a) { return __builtin_bit_cast(float, a); }
__device__ __forceinline__ unsigned __float_as_uint(float a) { return __builtin_bit_cast(unsigned, a); }
__device__ __forceinline__ float __int_as_float(int a) { return __builtin_bit_cast(float, a); }
__device__ __forceinline__ int __float_as_int(float a) { return __builtin_bit_cast(int, a); }
__device__ __forceinline__ float fabsf(float a) { return __builtin_fabsf(a); }
__device__ __forceinline__ float fmaxf(float a, float b) { return __nvvm_fmax_f(a, b); }
__device__ __forceinline__ int min(int a, int b) { return a < b ? a : b; }
__device__ __forceinline__ int max(int a, int b) { return a > b ? a : b; }
__device__ __forceinline__ int __shfl_xor_sync(unsigned mask, int a, int step) { return __nvvm_shfl_sync_bfly_i32(mask, a, step, 0x1f); }
__device__ __forceinline__ float __shfl_xor_sync(unsigned mask, float a, int step) { return __int_as_float(__shfl_xor_sync(mask, __float_as_int(a), step)); }
__device__ __forceinline__ int __shfl_sync(unsigned mask, int a, int lane) { return __nvvm_shfl_sync_idx_i32(mask, a, lane, 0x1f); }
__device__ __forceinline__ float __shfl_sync(unsigned mask, float a, int lane) { return __int_as_float(__shfl_sync(mask, __float_as_int(a), lane)); }
__device__ __forceinline__ unsigned long __cvta_generic_to_shared(const void* p) { return (unsigned long)(__attribute__((address_space(3))) const void*)p; }
__device__ __forceinline__ void __syncwarp(unsigned mask = 0xffffffffu) { __nvvm_bar_warp_sync(mask); }
