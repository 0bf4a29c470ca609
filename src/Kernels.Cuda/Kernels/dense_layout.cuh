// The coordinator's matrices: y = x W for the rows of a batch. On the device a matrix has the panels of expert_layout.cuh;
// matrices that share x (query, key and value) lie one after the other and are one product.
#pragma once
#include "expert_layout.cuh"

struct DenseProduct
{
    const StreamBlock* blocks; // [block_count] of the axis that is summed over
    const u8* weights;         // panel 0
    const s8* values;          // [rows, stride]; fast
    const float* scales;       // [rows]: factors (outliers.cuh) of block_count blocks; fast
    const float* floats;       // [rows, stride]; exact
    float* y;                  // [rows, columns]
    int block_count;
    int stride;  // activations of a row, padded
    int columns; // of all panels, a multiple of 32
    int rows;
    float multiplier; // of every result
    int unused;
};
