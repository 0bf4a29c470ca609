// The router: norm, logits, softmax over all experts and the best few, float32, in the order of the CPU's RmsNorm, RouterLogits and TopK.
// A logit is four running sums, which a warp keeps side by side: with Grok-1's 8 experts a lane has one of them.
// Launch: one warp for each row; shared memory for SUMS + 1 floats an expert.
#include "activation_rows.cuh"

#define SUMS 4

struct RouterRows
{
    const float* residual; // [rows, columns]
    const float* norm;     // [columns]
    const float* weights;  // [columns, experts]
    int* chosen;           // [rows, count], best first; of equal ones the lower
    float* gates;          // [rows, count], their probabilities
    int columns;
    int experts;
    int count;
    float epsilon;
};

GROK1_KERNEL(router, RouterRows, WARP)
{
    float* sums = (float*)GROK1_SHARED;                // [SUMS, experts]
    float* probabilities = sums + SUMS * p.experts;    // [experts]
    const int lane = threadIdx.x;
    const float* x = p.residual + (i64)blockIdx.x * p.columns;
    const float factor = norm_factor(x, p.columns, p.epsilon);
    const int whole = p.columns / SUMS * SUMS;
    for (int i = lane; i < SUMS * p.experts; i += WARP)
    {
        const int first = i / p.experts;
        const float* w = p.weights + i % p.experts;
        float sum = 0.0f;
#pragma unroll 8
        for (int k = first; k < whole; k += SUMS)
            sum = fma_(x[k] * factor * p.norm[k], w[(i64)k * p.experts], sum);
        if (first == 0)
            for (int k = whole; k < p.columns; k++)
                sum = fma_(x[k] * factor * p.norm[k], w[(i64)k * p.experts], sum);
        sums[i] = sum;
    }
    __syncwarp();

    float largest = __int_as_float(0xff800000);
    for (int e = lane; e < p.experts; e += WARP)
    {
        const float logit = sums[e] + sums[p.experts + e] + (sums[2 * p.experts + e] + sums[3 * p.experts + e]);
        probabilities[e] = logit;
        largest = fmaxf(largest, logit);
    }
    largest = warp_max(largest);
    float total = 0.0f;
    for (int e = lane; e < p.experts; e += WARP)
    {
        probabilities[e] = exp_(probabilities[e] - largest);
        total += probabilities[e];
    }
    total = warp_sum(total);
    for (int e = lane; e < p.experts; e += WARP)
        probabilities[e] = __fdiv_rn(probabilities[e], total);
    __syncwarp();

    if (lane != 0)
        return;
    int* chosen = p.chosen + (i64)blockIdx.x * p.count;
    for (int i = 0; i < p.count; i++)
    {
        int best = -1;
        for (int e = 0; e < p.experts; e++)
        {
            bool taken = false;
            for (int before = 0; before < i; before++)
                taken = taken || chosen[before] == e;
            if (!taken && (best < 0 || probabilities[e] > probabilities[best]))
                best = e;
        }
        chosen[i] = best;
        p.gates[(i64)blockIdx.x * p.count + i] = probabilities[best];
    }
}
