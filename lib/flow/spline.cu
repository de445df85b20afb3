// Coefficients of the cubic B-splines through the pixels of a level's frames: twin of spline.py.

#define REACH 12  // pixels: what is farther away adds less than 1e-7
#define POLE -0.267949192f
#define MIDDLE 1.732050634f  // with which the weights sum to 1

__device__ inline int mirrored(int i, int n) { return abs(n - 1 - abs(n - 1 - abs(i))); }

// The weights of the four coefficients around a position, from its fraction t between the two middle ones.
__device__ inline void bspline(float t, float *weight) {
    const float t2 = t * t, t3 = t2 * t;
    weight[0] = (1 - 3 * t + 3 * t2 - t3) / 6;
    weight[1] = (4 - 6 * t2 + 3 * t3) / 6;
    weight[2] = (1 + 3 * t + 3 * t2 - 3 * t3) / 6;
    weight[3] = t3 / 6;
}

// The pixels at distance 0, 1, ... before and after pixel i of a line of n pixels, `step` numbers apart, weighted.
__device__ inline float coefficient(const float *line, int step, int i, int n) {
    float tap = MIDDLE, sum = tap * line[(size_t)i * step];
    for (int k = 1; k <= REACH; k++) {
        tap = tap * POLE;
        sum += tap * (line[(size_t)mirrored(i - k, n) * step] + line[(size_t)mirrored(i + k, n) * step]);
    }
    return sum;
}

// Along y: out (n, h, w) from planes (n, h, w).
extern "C" __global__ void spline_columns(const float *image, int h, int w, float *out) {
    PIXEL(w, h);
    out[z * h * w + y * w + x] = coefficient(image + z * h * w + x, w, y, h);
}

// The same along x.
extern "C" __global__ void spline_rows(const float *image, int h, int w, float *out) {
    PIXEL(w, h);
    out[z * h * w + y * w + x] = coefficient(image + (z * h + y) * w, 1, x, w);
}

// The spline with coefficients (h, w) at (x, y) inside of it.
__device__ inline float spline(const float *coefficients, float x, float y, int w, int h) {
    const float left = floorf(x), top = floorf(y);
    float wx[4], wy[4], total = 0;
    bspline(x - left, wx);
    bspline(y - top, wy);
    for (int j = 0; j < 4; j++) {
        const float *line = coefficients + (size_t)mirrored((int)top + j - 1, h) * w;
        float sum = 0;
        for (int i = 0; i < 4; i++) sum += wx[i] * line[mirrored((int)left + i - 1, w)];
        total += wy[j] * sum;
    }
    return total;
}
