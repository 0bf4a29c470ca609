// Rows to the left side of a product as they are, or through RmsNorm.
// Launch: one block for each row.
#include "activation_rows.cuh"

#define WARPS 8

GROK1_KERNEL(rows_quantise, ActivationRows, WARPS * WARP) { write_row<WARPS, false, false>(p, blockIdx.x); }
GROK1_KERNEL(rows_exact, ActivationRows, WARPS * WARP) { write_row<WARPS, false, true>(p, blockIdx.x); }
GROK1_KERNEL(rms_norm_quantise, ActivationRows, WARPS * WARP) { write_row<WARPS, true, false>(p, blockIdx.x); }
GROK1_KERNEL(rms_norm_exact, ActivationRows, WARPS * WARP) { write_row<WARPS, true, true>(p, blockIdx.x); }
