// What the CUDA sources need to be compiled by a C++ compiler: the threads of a launch run one after another.
#include <algorithm>
#include <cmath>
#include <cstddef>

#define __global__ inline __attribute__((always_inline))
#define __device__
#define __syncthreads() // kernels that have it are launched with one thread per block, see the stand-in

struct dim3 {
    unsigned x, y, z;
};
static dim3 gridDim, blockDim, blockIdx, threadIdx;

using std::max;
using std::min;
