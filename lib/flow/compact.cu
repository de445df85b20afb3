// Flows at another size, and composed with a second displacement: twin of compact.py.

#define OUTSIDE 1e6f // a displacement that leads out of any frame

// Flows (n, H, W, 2) at another size, out (n, h, w, 2), by tables of four taps.
extern "C" __global__ void resize_flow(const float *flow, int source_h, int source_w, const int *y_start,
                                       const float *y_weight, const int *x_start, const float *x_weight, int h, int w,
                                       float *out) {
    PIXEL(w, h);
    const float *corner = flow + 2 * ((z * source_h + y_start[y]) * source_w + x_start[x]);
    for (int k = 0; k < 2; k++) {
        float sum = 0;
        for (int i = 0; i < 4; i++) {
            const float *column = corner + 2 * i + k;
            const float down = y_weight[y] * column[0] + y_weight[h + y] * column[2 * source_w] +
                               y_weight[2 * h + y] * column[4 * source_w] + y_weight[3 * h + y] * column[6 * source_w];
            sum += x_weight[i * w + x] * down;
        }
        out[2 * (z * h * w + y * w + x) + k] = sum;
    }
}

// out (n, h, w, 2) = first(x) + then(x + first(x)): first (h, w, 2), then (n, h, w, 2) sampled linearly. Where `first`
// leads out of the frame, so does the result.
extern "C" __global__ void compose_flow(const float *first, const float *then, int h, int w, float *out) {
    PIXEL(w, h);
    const int at = 2 * (y * w + x);
    const float px = (float)x + first[at], py = (float)y + first[at + 1];
    then += z * 2 * h * w;
    out += z * 2 * h * w;
    if (!(px >= 0 && px <= (float)(w - 1) && py >= 0 && py <= (float)(h - 1))) {
        out[at] = OUTSIDE;
        out[at + 1] = OUTSIDE;
        return;
    }
    const int ix = (int)px, iy = (int)py, bx = min(ix + 1, w - 1), by = min(iy + 1, h - 1);
    const float tx = px - (float)ix, ty = py - (float)iy;
    for (int k = 0; k < 2; k++) {
        const float top = (1 - tx) * then[2 * (iy * w + ix) + k] + tx * then[2 * (iy * w + bx) + k];
        const float bottom = (1 - tx) * then[2 * (by * w + ix) + k] + tx * then[2 * (by * w + bx) + k];
        out[at + k] = first[at + k] + (1 - ty) * top + ty * bottom;
    }
}
