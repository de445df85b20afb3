// What all kernels share: which thread computes what, indices at the border, and the types of raw frames.
//
// The .cu files are the CUDA twins of the Numba modules of the same names; backend_cupy.py makes one module of them.
// A thread computes a pixel: x and y count pixels of the plane, blockIdx.z the frames of a batch, or planes of frames.
// Nothing is shared between the threads of a block, so that the host compiles and runs the same source in tests, and
// nothing between frames, so that a frame's result does not depend on the batch.
//
// A batch lies in memory as (n, H, W, C) where it comes from or goes to the host, and as (n, C, h, w) float in between.
// Planes have no ghost cells, unlike in Numba: indices beyond the border are moved to the nearest pixel.

#define PIXEL(w, h)                                            \
    const int x = (int)(blockIdx.x * blockDim.x + threadIdx.x); \
    const int y = (int)(blockIdx.y * blockDim.y + threadIdx.y); \
    const size_t z = blockIdx.z;                                \
    if (x >= (w) || y >= (h)) return

__device__ inline int nearest(int i, int n) { return min(max(i, 0), n - 1); }

// Call a statement with T as the type that a number from backend_cupy.TYPES stands for.
#define WITH_TYPE(type, statement)                                  \
    switch (type) {                                                 \
        case 0: { typedef unsigned char T; statement; } break;      \
        case 1: { typedef signed char T; statement; } break;        \
        case 2: { typedef unsigned short T; statement; } break;     \
        case 3: { typedef short T; statement; } break;              \
        case 4: { typedef unsigned int T; statement; } break;       \
        case 5: { typedef int T; statement; } break;                \
        case 6: { typedef unsigned long long T; statement; } break; \
        case 7: { typedef long long T; statement; } break;          \
        case 8: { typedef float T; statement; } break;              \
        default: { typedef double T; statement; } break;            \
    }
