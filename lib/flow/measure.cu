// Numbers on flows and registered frames, for quality control: twin of measure.py. Sums are formed by columns, and
// then over the columns, always in the same order.

enum { LENGTH, SQUARES, SUM_U, SUM_V, DIVERGENCE, LARGEST, VALID, SA, SB, SAA, SBB, SAB, MEASURES };

__device__ inline double number(const void *array, int type, size_t at) {
    WITH_TYPE(type, return (double)((const T *)array)[at])
    return 0;
}

// Sums (n, MEASURES, w) over the columns of flow (n, h, w, 2), valid (n, h, w), registered (n, h, w, C) and reference
// (h, w, C). x counts columns here.
extern "C" __global__ void measure_columns(const float *flow, const unsigned char *valid, const void *registered,
                                           int type, const void *reference, int reference_type, int channels, int h,
                                           int w, double *sums) {
    PIXEL(w, 1);
    const float *f = flow + 2 * z * h * w;
    const size_t frame = z * h * w;
    const double pivot_a = number(registered, type, frame * channels), pivot_b = number(reference, reference_type, 0);
    double sum[MEASURES];
    for (int k = 0; k < MEASURES; k++) sum[k] = 0;
    for (int row = 0; row < h; row++) {
        const int at = row * w + x;
        const float u = f[2 * at], v = f[2 * at + 1], square = u * u + v * v;
        sum[LENGTH] += sqrtf(square);
        sum[SQUARES] += square;
        sum[SUM_U] += u;
        sum[SUM_V] += v;
        sum[LARGEST] = fmax(sum[LARGEST], (double)square);
        if (0 < row && row < h - 1 && 0 < x && x < w - 1)
            sum[DIVERGENCE] += fabsf(f[2 * (at + 1)] - f[2 * (at - 1)] + f[2 * (at + w) + 1] - f[2 * (at - w) + 1]);
        if (!valid[frame + at]) continue;
        sum[VALID] += 1;
        for (int c = 0; c < channels; c++) {
            const double da = number(registered, type, (frame + at) * channels + c) - pivot_a;
            const double db = number(reference, reference_type, (size_t)at * channels + c) - pivot_b;
            sum[SA] += da;
            sum[SB] += db;
            sum[SAA] += da * da;
            sum[SBB] += db * db;
            sum[SAB] += da * db;
        }
    }
    for (int k = 0; k < MEASURES; k++) sums[(z * MEASURES + k) * w + x] = sum[k];
}

// The sums (n, MEASURES) over the columns, of LARGEST the maximum. x counts measures here.
extern "C" __global__ void sum_columns(const double *sums, int w, double *out) {
    PIXEL(MEASURES, 1);
    const double *column = sums + (z * MEASURES + x) * w;
    double sum = 0;
    for (int i = 0; i < w; i++) sum = x == LARGEST ? fmax(sum, column[i]) : sum + column[i];
    out[z * MEASURES + x] = sum;
}
