// Resampling of images and flow between the levels: twin of pyramid.py.
//
// A table of an axis is `start` (n_out,) and `weight` (taps, n_out): output X is the sum over k of
// weight[k, X] * input[start[X] + k].

template <typename T>
__device__ inline float weighted_rows(const T *image, int row, float low, float high, int first, const float *weight,
                                      int taps, int y, int h) {
    float sum = 0;
    for (int k = 0; k < taps; k++) {
        const float value = (float)image[(size_t)(first + k) * row];
        sum += weight[k * h + y] * fminf(fmaxf(value, low), high);
    }
    return sum;
}

// Rows of one channel, raw (n, H, W, C) of any type or float (n, C, H, W), clipped to [low, high] and resampled along y
// to out (n, h, W).
extern "C" __global__ void resample_rows(const void *image, int type, long long frame, int row, int pixel,
                                         long long channel, float low, float high, const int *y_start,
                                         const float *y_weight, int taps, int h, int w, float *out) {
    PIXEL(w, h);
    float sum;
    WITH_TYPE(type, sum = weighted_rows((const T *)image + z * frame + channel + (size_t)x * pixel, row, low, high,
                                        y_start[y], y_weight, taps, y, h))
    out[z * h * w + y * w + x] = sum;
}

// The rows resampled along x and normalised, out (n, C, h, w) = scale * (resampled - offset), of one channel.
extern "C" __global__ void resample_columns(const float *buffer, int source, const int *x_start, const float *x_weight,
                                            int taps, float offset, float scale, int channel, int channels, int h, int w,
                                            float *out) {
    PIXEL(w, h);
    const float *line = buffer + (z * h + y) * source + x_start[x];
    float sum = 0;
    for (int k = 0; k < taps; k++) sum += x_weight[k * w + x] * line[k];
    out[(z * channels + channel) * h * w + y * w + x] = scale * (sum - offset);
}

// A plane of width `source`, interpolated by tables of four taps at (y, x) of a plane (h, w).
__device__ inline float interpolate(const float *plane, int source, const int *y_start, const float *y_weight,
                                    const int *x_start, const float *x_weight, int y, int x, int h, int w) {
    const float *corner = plane + y_start[y] * source + x_start[x];
    float sum = 0;
    for (int j = 0; j < 4; j++) {
        const float *line = corner + j * source;
        const float across = x_weight[x] * line[0] + x_weight[w + x] * line[1] + x_weight[2 * w + x] * line[2] +
                             x_weight[3 * w + x] * line[3];
        sum += y_weight[j * h + y] * across;
    }
    return sum;
}

// The flow (n, 2, H, W) of a level, resampled to the finer one, out (n, 2, h, w).
extern "C" __global__ void resample_flow(const float *flow, int source_h, int source_w, const int *y_start,
                                         const float *y_weight, const int *x_start, const float *x_weight, int h, int w,
                                         float *out) {
    PIXEL(w, h);
    for (int c = 0; c < 2; c++) {
        const float *plane = flow + (2 * z + c) * source_h * source_w;
        out[(2 * z + c) * h * w + y * w + x] =
            interpolate(plane, source_w, y_start, y_weight, x_start, x_weight, y, x, h, w);
    }
}

// The same from the finest level to the frame, out (n, h, w, 2).
extern "C" __global__ void resample_flow_to_frame(const float *flow, int source_h, int source_w, const int *y_start,
                                                  const float *y_weight, const int *x_start, const float *x_weight,
                                                  int h, int w, float *out) {
    PIXEL(w, h);
    for (int c = 0; c < 2; c++) {
        const float *plane = flow + (2 * z + c) * source_h * source_w;
        out[2 * (z * h * w + y * w + x) + c] =
            interpolate(plane, source_w, y_start, y_weight, x_start, x_weight, y, x, h, w);
    }
}

// A flow that is at full size already, (n, 2, h, w), as out (n, h, w, 2).
extern "C" __global__ void flow_to_frame(const float *flow, int h, int w, float *out) {
    PIXEL(w, h);
    for (int c = 0; c < 2; c++) out[2 * (z * h * w + y * w + x) + c] = flow[(2 * z + c) * h * w + y * w + x];
}
