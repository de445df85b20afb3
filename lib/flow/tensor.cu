// The motion tensor J of a level, (n, C, 6, h, w), from the reference (C, h, w) and the difference t (n, C, h, w): twin
// of tensor.py, where the constraints are written down. z counts frames and channels together.

#define CENSUS_SOFTNESS 0.05f // grey-value step at which a census sign is half decided

// J11, J12, J22, J13, J23, J33 of one pixel
struct Tensor {
    float j11, j12, j22, j13, j23, j33;
};

// Add n (gx, gy, gt)^T (gx, gy, gt)
__device__ inline void add(Tensor &J, float n, float gx, float gy, float gt) {
    J.j11 += n * gx * gx;
    J.j12 += n * gx * gy;
    J.j22 += n * gy * gy;
    J.j13 += n * gx * gt;
    J.j23 += n * gy * gt;
    J.j33 += n * gt * gt;
}

__device__ inline void store(const Tensor &J, float *out, int plane) {
    out[0] = J.j11;
    out[plane] = J.j12;
    out[2 * plane] = J.j22;
    out[3 * plane] = J.j13;
    out[4 * plane] = J.j23;
    out[5 * plane] = J.j33;
}

// image(y, x), the border pixel repeating
__device__ inline float pixel(const float *image, int y, int x, int h, int w) {
    return image[nearest(y, h) * w + nearest(x, w)];
}

extern "C" __global__ void gradient_tensor(const float *reference, const float *t, const float *thetas, int channels,
                                           float hx, float hy, int h, int w, float *J) {
    PIXEL(w, h);
    const int plane = h * w;
    const float *f = reference + (z % channels) * plane;
    const float theta = thetas[z % channels];
    t += z * plane;
    const float middle = f[y * w + x];
    const float fxx = 0.25f / (hx * hx) * (pixel(f, y, x - 2, h, w) - 2 * middle + pixel(f, y, x + 2, h, w));
    const float fyy = 0.25f / (hy * hy) * (pixel(f, y - 2, x, h, w) - 2 * middle + pixel(f, y + 2, x, h, w));
    const float fxy = 0.25f / (hx * hy) * (pixel(f, y + 1, x + 1, h, w) - pixel(f, y + 1, x - 1, h, w) -
                                           pixel(f, y - 1, x + 1, h, w) + pixel(f, y - 1, x - 1, h, w));
    const float tx = 0.5f / hx * (pixel(t, y, x + 1, h, w) - pixel(t, y, x - 1, h, w));
    const float ty = 0.5f / hy * (pixel(t, y + 1, x, h, w) - pixel(t, y - 1, x, h, w));
    Tensor sum = {0, 0, 0, 0, 0, 0};
    add(sum, 1 / (fxx * fxx + fxy * fxy + theta), fxx, fxy, tx);
    add(sum, 1 / (fxy * fxy + fyy * fyy + theta), fxy, fyy, ty);
    store(sum, J + z * 6 * plane + y * w + x, plane);
}

extern "C" __global__ void gray_tensor(const float *reference, const float *t, int channels, float hx, float hy, int h,
                                       int w, float *J) {
    PIXEL(w, h);
    const int plane = h * w;
    const float *f = reference + (z % channels) * plane;
    t += z * plane;
    const float fx = 0.5f / hx * (pixel(f, y, x + 1, h, w) - pixel(f, y, x - 1, h, w) +
                                  0.5f * (pixel(t, y, x + 1, h, w) - pixel(t, y, x - 1, h, w)));
    const float fy = 0.5f / hy * (pixel(f, y + 1, x, h, w) - pixel(f, y - 1, x, h, w) +
                                  0.5f * (pixel(t, y + 1, x, h, w) - pixel(t, y - 1, x, h, w)));
    Tensor sum = {0, 0, 0, 0, 0, 0};
    add(sum, 1, fx, fy, t[y * w + x]);
    store(sum, J + z * 6 * plane + y * w + x, plane);
}

// The signature of the reference at (y, x) towards (dy, dx), and the warped frame's minus that.
__device__ inline void census_signature(const float *f, const float *t, int y, int x, int dy, int dx, int h, int w,
                                        float &signature, float &difference) {
    const float soft = CENSUS_SOFTNESS * CENSUS_SOFTNESS;
    y = nearest(y, h);
    x = nearest(x, w);
    const float d = pixel(f, y + dy, x + dx, h, w) - f[y * w + x];
    const float warped = d + pixel(t, y + dy, x + dx, h, w) - t[y * w + x];
    signature = d / sqrtf(d * d + soft);
    difference = warped / sqrtf(warped * warped + soft) - signature;
}

extern "C" __global__ void census_tensor(const float *reference, const float *t, int channels, float hx, float hy,
                                         int h, int w, float *J) {
    PIXEL(w, h);
    const int plane = h * w;
    const float *f = reference + (z % channels) * plane;
    t += z * plane;
    Tensor sum = {0, 0, 0, 0, 0, 0};
    for (int dy = -1; dy <= 1; dy++) {
        for (int dx = -1; dx <= 1; dx++) {
            if (dy == 0 && dx == 0) continue;
            float left, right, up, down, here, t_left, t_right, t_up, t_down, t_here;
            census_signature(f, t, y, x - 1, dy, dx, h, w, left, t_left);
            census_signature(f, t, y, x + 1, dy, dx, h, w, right, t_right);
            census_signature(f, t, y - 1, x, dy, dx, h, w, up, t_up);
            census_signature(f, t, y + 1, x, dy, dx, h, w, down, t_down);
            census_signature(f, t, y, x, dy, dx, h, w, here, t_here);
            const float gx = 0.5f / hx * (right - left + 0.5f * (t_right - t_left));
            const float gy = 0.5f / hy * (down - up + 0.5f * (t_down - t_up));
            add(sum, 0.125f, gx, gy, t_here);
        }
    }
    store(sum, J + z * 6 * plane + y * w + x, plane);
}
