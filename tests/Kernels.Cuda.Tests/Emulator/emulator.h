// A CUDA block on one CPU thread: the text of the kernels compiled as C++ with this header in front. Every CUDA thread is a
// fiber; a barrier or a warp's collective hands over to the next one. It shows wrong indexes, wrong tails and wrong numbers,
// and barriers that are missing where an order of threads makes them show (tests run several orders). It does not show real
// warps' timing, memory ordering, bank conflicts or speed.
#pragma once
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <algorithm>
#include <cmath>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __restrict__
#define __align__(n) __attribute__((aligned(n)))

struct uint3 { unsigned x, y, z; };
struct uint2 { unsigned x, y; };
struct uint4 { unsigned x, y, z, w; };
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
struct int2 { int x, y; };
struct int4 { int x, y, z, w; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

namespace emulator
{
enum { Warp = 32, Fibers = 1024, StackBytes = 64 << 10, SlotBytes = 64, GuardBytes = 256, Poison = 0xcb };

struct Fiber
{
    jmp_buf where;
    ucontext_t start;
    char* stack = nullptr;
    bool started = false, done = false;
};

static Fiber fibers[Fibers];
static jmp_buf scheduler;
static ucontext_t scheduler_start;
static int current, threads;
static uint3 block_index, grid_size;
static unsigned char* shared_memory;
static void (*kernel)(const void*);
static const void* parameters;

// Barriers: one for the block, one for each warp. Who arrives last opens it for the rest.
struct Barrier { int arrived = 0, alive = 0; unsigned generation = 0; };
static Barrier block_barrier, warp_barriers[Fibers / Warp];
alignas(16) static unsigned char slots[2][Fibers][SlotBytes];
static unsigned exchange_count[Fibers];

static void yield()
{
    if (_setjmp(fibers[current].where) == 0)
        _longjmp(scheduler, 1);
}

static void open_if_complete(Barrier& barrier)
{
    if (barrier.arrived == barrier.alive)
    {
        barrier.arrived = 0;
        barrier.generation++;
    }
}

static void wait(Barrier& barrier)
{
    const unsigned generation = barrier.generation;
    barrier.arrived++;
    open_if_complete(barrier);
    while (barrier.generation == generation)
        yield();
}

// A fiber runs one thread of every block of the grid, and goes on with the next block when it is resumed after the end.
static void run_fiber()
{
    for (;;)
    {
        kernel(parameters);
        fibers[current].done = true;
        block_barrier.alive--;
        warp_barriers[current / Warp].alive--;
        if (block_barrier.arrived > 0)
            open_if_complete(block_barrier);
        if (warp_barriers[current / Warp].arrived > 0)
            open_if_complete(warp_barriers[current / Warp]);
        yield();
    }
}

static void resume(int fiber)
{
    current = fiber;
    if (_setjmp(scheduler) != 0)
        return;
    if (fibers[fiber].started)
        _longjmp(fibers[fiber].where, 1);
    fibers[fiber].started = true;
    setcontext(&fibers[fiber].start);
}

// Gives every lane of the warp what every other lane put in. All lanes take part, as the mask of all lanes says.
template <class T>
static const unsigned char (*exchange(const T& mine))[SlotBytes]
{
    static_assert(sizeof(T) <= SlotBytes, "a slot is too small");
    // Two buffers take turns: a lane may begin the next exchange while others still read this one.
    auto* buffer = slots[exchange_count[current]++ % 2];
    memcpy(buffer[current], &mine, sizeof(T));
    wait(warp_barriers[current / Warp]);
    return &buffer[current / Warp * Warp];
}

template <class T>
static T from(const unsigned char (*lanes)[SlotBytes], int lane)
{
    T value;
    memcpy(&value, lanes[lane], sizeof(T));
    return value;
}

static void run_block(int order)
{
    block_barrier = {0, threads, 0};
    for (int warp = 0; warp * Warp < threads; warp++)
        warp_barriers[warp] = {0, std::min<int>(Warp, threads - warp * Warp), 0};
    for (int i = 0; i < threads; i++)
    {
        Fiber& fiber = fibers[i];
        fiber.done = false;
        exchange_count[i] = 0;
        if (fiber.stack)
            continue;
        fiber.stack = (char*)malloc(StackBytes);
        getcontext(&fiber.start);
        fiber.start.uc_stack.ss_sp = fiber.stack;
        fiber.start.uc_stack.ss_size = StackBytes;
        fiber.start.uc_link = &scheduler_start;
        makecontext(&fiber.start, run_fiber, 0);
    }
    for (bool alive = true; alive;)
    {
        alive = false;
        for (int i = 0; i < threads; i++)
        {
            // Ascending, descending, or every third thread: 3 does not divide a power of two, so all are met.
            const int fiber = order == 0 ? i : order == 1 ? threads - 1 - i : (int)((long long)i * 3 % threads);
            if (fibers[fiber].done)
                continue;
            alive = true;
            resume(fiber);
        }
    }
}
} // namespace emulator

// 1-dimensional blocks.
#define threadIdx (uint3{(unsigned)emulator::current, 0, 0})
#define blockIdx (emulator::block_index)
#define gridDim (emulator::grid_size)
#define blockDim (uint3{(unsigned)emulator::threads, 1, 1})

static inline void __syncthreads() { emulator::wait(emulator::block_barrier); }
static inline void __syncwarp(unsigned = ~0u) { emulator::wait(emulator::warp_barriers[emulator::current / emulator::Warp]); }

template <class T>
static T __shfl_xor_sync(unsigned, T value, int mask) { return emulator::from<T>(emulator::exchange(value), emulator::current % emulator::Warp ^ mask); }
template <class T>
static T __shfl_sync(unsigned, T value, int lane) { return emulator::from<T>(emulator::exchange(value), lane % emulator::Warp); }

static inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return std::sqrt(a); }
static inline int __float2int_rn(float a) { return (int)std::nearbyint(a); }
static inline float __int2float_rn(int a) { return (float)a; }
static inline float __uint_as_float(unsigned a) { float r; memcpy(&r, &a, 4); return r; }
static inline unsigned __float_as_uint(float a) { unsigned r; memcpy(&r, &a, 4); return r; }
static inline float __int_as_float(int a) { float r; memcpy(&r, &a, 4); return r; }
static inline int __float_as_int(float a) { int r; memcpy(&r, &a, 4); return r; }
using std::max;
using std::min;

// The tensor core, by its definition in tensor_core.cuh: every lane shows its fragments and computes its own four results.
#define GROK1_OWN_TENSOR_CORE
struct EmulatedFragments { int8_t a[4][4], b[2][4]; };
static inline void mma_s8(int (&c)[4], const unsigned (&a)[4], const unsigned b0, const unsigned b1)
{
    EmulatedFragments mine;
    memcpy(mine.a, a, sizeof(mine.a));
    memcpy(mine.b[0], &b0, 4);
    memcpy(mine.b[1], &b1, 4);
    const auto* lanes = emulator::exchange(mine);
    const int lane = emulator::current % emulator::Warp, g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; i++)
    {
        const int row = g + i / 2 * 8, column = 2 * t + i % 2;
        int sum = c[i];
        for (int slot = 0; slot < 8; slot++)
        {
            const auto* of_a = (const int8_t*)((const EmulatedFragments*)lanes[row % 8 * 4 + slot % 4])->a[row / 8 + slot / 4 * 2];
            const auto* of_b = (const int8_t*)((const EmulatedFragments*)lanes[column * 4 + slot % 4])->b[slot / 4];
            for (int k = 0; k < 4; k++)
                sum += of_a[k] * of_b[k];
        }
        c[i] = sum;
    }
}

// Copies in the background: done when they are waited for and not before, so that a wait that is missing shows.
struct EmulatedCopy { unsigned char* target; const unsigned char* source; int bytes, group; };
struct EmulatedCopies { std::vector<EmulatedCopy> open; size_t first = 0; int committed = 0; };
static EmulatedCopies emulated_copies[emulator::Fibers];

template <int BYTES>
static inline void copy_async(unsigned char* shared, const unsigned char* global)
{
    if ((uintptr_t)shared % BYTES != 0 || (uintptr_t)global % BYTES != 0)
        abort();
    auto& copies = emulated_copies[emulator::current];
    copies.open.push_back({shared, global, BYTES, copies.committed});
}
static inline void copy_commit() { emulated_copies[emulator::current].committed++; }
template <int PENDING>
static inline void copy_wait()
{
    auto& copies = emulated_copies[emulator::current];
    for (; copies.first < copies.open.size() && copies.open[copies.first].group < copies.committed - PENDING; copies.first++)
    {
        const auto& copy = copies.open[copies.first];
        memcpy(copy.target, copy.source, copy.bytes);
    }
}

#define GROK1_SHARED emulator::shared_memory
#define GROK1_KERNEL(name, Params, threads) \
    static void name##_body(const Params& p); \
    extern "C" void name(const void* raw) { name##_body(*(const Params*)raw); } \
    extern "C" int name##_threads() { return threads; } \
    extern "C" int name##_parameter_bytes() { return sizeof(Params); } \
    static void name##_body(const Params& p)

// Runs a grid. Returns 0, or 1 when a block wrote outside its shared memory.
extern "C" int emulator_launch(void (*kernel)(const void*), const void* parameters, int grid_x, int grid_y, int grid_z, int threads, int shared_bytes, int order)
{
    using namespace emulator;
    if (threads > Fibers)
        return 2;
    std::vector<unsigned char> memory(shared_bytes + 2 * GuardBytes + 16);
    unsigned char* start = (unsigned char*)(((uintptr_t)memory.data() + GuardBytes + 15) & ~(uintptr_t)15);
    shared_memory = start;
    emulator::kernel = kernel;
    emulator::parameters = parameters;
    emulator::threads = threads;
    grid_size = {(unsigned)grid_x, (unsigned)grid_y, (unsigned)grid_z};
    const long long blocks = (long long)grid_x * grid_y * grid_z;
    for (long long i = 0; i < blocks; i++)
    {
        const long long at = order == 1 ? blocks - 1 - i : i;
        block_index = {(unsigned)(at % grid_x), (unsigned)(at / grid_x % grid_y), (unsigned)(at / grid_x / grid_y)};
        memset(memory.data(), Poison, memory.size());
        run_block(order);
        for (unsigned char* p = memory.data(); p < memory.data() + memory.size(); p++)
            if ((p < start || p >= start + shared_bytes) && *p != Poison)
                return 1;
        for (int thread = 0; thread < threads; thread++)
        {
            auto& copies = emulated_copies[thread];
            copies.open.clear();
            copies.first = copies.committed = 0;
        }
    }
    return 0;
}
