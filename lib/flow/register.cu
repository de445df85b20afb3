// Backward warping of whole frames with a finished flow, and the mask of valid pixels: twin of register.py.

enum { NEAREST, LINEAR, CUBIC };

template <typename T>
__device__ inline void warp_pixel(const T *frame, const T *fill, int channels, int method, float px, float py, int at,
                                  float low, float high, int rounds, int h, int w, T *out, unsigned char *valid) {
    const bool inside = locate(px, py, w, h);
    *valid = inside;
    for (int c = 0; c < channels; c++) {
        const T *image = frame + c;
        T *to = out + (size_t)at * channels + c;
        if (!inside) {
            *to = fill[(size_t)at * channels + c];
            continue;
        }
        if (method == NEAREST) {
            *to = image[((size_t)(int)(py + 0.5f) * w + (int)(px + 0.5f)) * channels];
            continue;
        }
        float value;
        if (method == CUBIC) {
            value = cubic(image, channels, px, py, w, h);
        } else {
            const int ix = (int)px, iy = (int)py, bx = min(ix + 1, w - 1), by = min(iy + 1, h - 1);
            const float tx = px - (float)ix, ty = py - (float)iy;
            const float top = (1 - tx) * (float)image[((size_t)iy * w + ix) * channels] +
                              tx * (float)image[((size_t)iy * w + bx) * channels];
            const float bottom = (1 - tx) * (float)image[((size_t)by * w + ix) * channels] +
                                 tx * (float)image[((size_t)by * w + bx) * channels];
            value = (1 - ty) * top + ty * bottom;
        }
        value = fminf(fmaxf(value, low), high);
        *to = (T)(rounds ? rintf(value) : value);
    }
}

// out (n, h, w, C) = frames at x + flow, `fill` (h, w, C) where that is outside; clipped to [low, high], rounded if
// asked. flow (n, h, w, 2), or (h, w, 2) for all frames unless `each`; valid (n, h, w).
extern "C" __global__ void warp_frames(const void *frames, int type, const float *flow, int each, const void *fill,
                                       int channels, int method, float low, float high, int rounds, int h, int w,
                                       void *out, unsigned char *valid) {
    PIXEL(w, h);
    const int at = y * w + x;
    const size_t frame = z * h * w;
    if (each) flow += 2 * frame;
    const float px = (float)x + flow[2 * at], py = (float)y + flow[2 * at + 1];
    WITH_TYPE(type, warp_pixel((const T *)frames + frame * channels, (const T *)fill, channels, method, px, py, at, low,
                               high, rounds, h, w, (T *)out + frame * channels, valid + frame + at))
}
