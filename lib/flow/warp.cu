// Warping, of raw frames by cubic convolution (Keys 1981, a = -0.75), of a level's by cubic splines: twin of
// sampling.py and warp.py.

// The weights of the four samples around a position, from its fraction t between the two middle ones.
__device__ inline void keys(float t, float *weight) {
    const float A = -0.75f, t2 = t * t, t3 = t2 * t;
    weight[0] = A * t - 2 * A * t2 + A * t3;
    weight[1] = 1 - (A + 3) * t2 + (A + 2) * t3;
    weight[2] = -A * t + (2 * A + 3) * t2 - (A + 2) * t3;
    weight[3] = A * t2 - A * t3;
}

// An image (h, w), `pixel` numbers from one pixel to the next, at (x, y) inside it; the border pixel repeats.
template <typename T>
__device__ inline float cubic(const T *image, int pixel, float x, float y, int w, int h) {
    const float left = floorf(x), top = floorf(y);
    float wx[4], wy[4], total = 0;
    keys(x - left, wx);
    keys(y - top, wy);
    for (int j = 0; j < 4; j++) {
        const T *line = image + (size_t)nearest((int)top + j - 1, h) * w * pixel;
        float sum = 0;
        for (int i = 0; i < 4; i++) sum += wx[i] * (float)line[nearest((int)left + i - 1, w) * pixel];
        total += wy[j] * sum;
    }
    return total;
}

// Move (px, py) into the frame; whether it was inside.
__device__ inline bool locate(float &px, float &py, int w, int h) {
    const float x = fminf(fmaxf(px, 0.f), (float)(w - 1)), y = fminf(fmaxf(py, 0.f), (float)(h - 1));
    const bool inside = x == px && y == py;
    px = x;
    py = y;
    return inside;
}

// Warp every channel of a level's frames and subtract the reference.
//
// coefficients of the frames and difference (n, C, h, w), z counts n and C together; reference (C, h, w); flow
// (n, 2, h, w) in pixels of the full frame; hx, hy the level's pixel size. Outside the frame the warped image equals
// the reference, so that nothing pulls there.
extern "C" __global__ void warp_level(const float *coefficients, const float *reference, const float *flow,
                                      int channels, float hx, float hy, int h, int w, float *difference) {
    PIXEL(w, h);
    const int at = y * w + x, plane = h * w;
    const float *u = flow + (z / channels) * 2 * plane, *v = u + plane;
    float px = (float)x + u[at] * (1 / hx), py = (float)y + v[at] * (1 / hy);
    const float keep = locate(px, py, w, h) ? 1.f : 0.f;
    const float ref = reference[(z % channels) * plane + at];
    difference[z * plane + at] = keep * (spline(coefficients + z * plane, px, py, w, h) - ref);
}
