// The rigid start by phase correlation: twin of rigid.py. Fourier transforms of the small images are products with
// their matrices; real and imaginary parts follow each other, by rows or by columns.

// out (n, h, w) = the weighted mean of the channels of images (n, C, height, width), of the part from (top, left) on.
extern "C" __global__ void mix(const float *image, const float *weights, int channels, int height, int width, int top,
                               int left, int h, int w, float *out) {
    PIXEL(w, h);
    float sum = 0;
    for (int k = 0; k < channels; k++)
        sum += weights[k] * image[((z * channels + k) * height + top + y) * width + left + x];
    out[(z * h + y) * w + x] = sum;
}

// Sums, smallest and largest values (n, 3, h) of the rows of images (n, h, w). x counts rows here.
extern "C" __global__ void row_sums(const float *image, int h, int w, float *out) {
    PIXEL(h, 1);
    image += (z * h + x) * w;
    float row = 0, low = image[0], high = image[0];
    for (int i = 0; i < w; i++) {
        row += image[i];
        low = fminf(low, image[i]);
        high = fmaxf(high, image[i]);
    }
    out += z * 3 * h + x;
    out[0] = row;
    out[h] = low;
    out[2 * h] = high;
}

// image = (image - mean) * window; zeros for a flat image, as whitening would make a pattern of its rounding.
extern "C" __global__ void windowed(const float *sums, const float *window, float flat, float flat_part, int h, int w,
                                    float *image) {
    PIXEL(w, h);
    sums += z * 3 * h;
    double total = 0;
    float low = sums[h], high = sums[2 * h];
    for (int i = 0; i < h; i++) {
        total += sums[i];
        low = fminf(low, sums[h + i]);
        high = fmaxf(high, sums[2 * h + i]);
    }
    const float mean = (float)(total / (h * w)), value = (image[(z * h + y) * w + x] - mean) * window[y * w + x];
    image[(z * h + y) * w + x] = high - low <= flat + flat_part * fmaxf(fabsf(low), fabsf(high)) ? 0 : value;
}

// out (n, rows, columns) = a b per frame; b (depth, columns). Row y of a begins at y * a_row, its numbers are a_step
// apart; from frame to frame a and b move by a_frame and b_frame, 0 for a constant matrix.
extern "C" __global__ void product(const float *a, int a_row, int a_step, int a_frame, const float *b, int b_frame,
                                   int depth, int rows, int columns, float *out) {
    PIXEL(columns, rows);
    a += z * a_frame + (size_t)y * a_row;
    b += z * b_frame + x;
    float sum = 0;
    for (int k = 0; k < depth; k++) sum += a[k * a_step] * b[k * columns];
    out[(z * rows + y) * columns + x] = sum;
}

// Multiply the spectra (n, 2 h, w), real and imaginary rows in turn, by the filter (2, h, w) and keep the phase.
extern "C" __global__ void whiten(const float *filter, int h, int w, float *spectrum) {
    PIXEL(w, h);
    float *real = spectrum + (z * 2 * h + 2 * y) * w + x, *imaginary = real + w;
    const float re = *real, im = *imaginary, fr = filter[y * w + x], fi = filter[(h + y) * w + x];
    const float pr = re * fr - im * fi, pi = re * fi + im * fr;
    const float size = fmaxf(sqrtf(fr * fr + fi * fi), 1e-30f);
    const float scale = 1 / (sqrtf(pr * pr + pi * pi) / size + 1e-12f);
    *real = scale * pr;
    *imaginary = scale * pi;
}

// The column (n, ny) of the first largest value in every row of the surfaces (n, ny, nx), the middle one if the row is
// flat. x counts rows here.
extern "C" __global__ void row_peaks(const float *surface, int ny, int nx, int *column) {
    PIXEL(ny, 1);
    const float *row = surface + (z * ny + x) * nx;
    int best = nx / 2;
    for (int i = 0; i < nx; i++)
        if (row[i] > row[best]) best = i;
    column[z * ny + x] = best;
}

// Offset, within half a sample, of the vertex of the parabola through a maximum and its neighbours.
__device__ inline double vertex(float before, float peak, float after) {
    const double curvature = (double)before - 2 * (double)peak + (double)after;
    return curvature < 0 ? 0.5 * ((double)before - (double)after) / curvature : 0;
}

// The translation (n, 2), x and y in pixels of the full frame: the highest peak, refined by a parabola per axis.
extern "C" __global__ void peak(const float *surface, const int *column, int ny, int nx, double hx, double hy,
                                double *translation) {
    PIXEL(1, 1);
    surface += z * ny * nx;
    column += z * ny;
    int best = ny / 2;  // no shift, if the surface is flat
    for (int j = 0; j < ny; j++)
        if (surface[j * nx + column[j]] > surface[best * nx + column[best]]) best = j;
    const float *top = surface + best * nx + column[best];
    double dx = column[best] - nx / 2, dy = best - ny / 2;
    if (0 < column[best] && column[best] < nx - 1) dx += vertex(top[-1], top[0], top[1]);
    if (0 < best && best < ny - 1) dy += vertex(top[-nx], top[0], top[nx]);
    translation[2 * z] = dx * hx;
    translation[2 * z + 1] = dy * hy;
}

// Start a level, (n, 2, h, w), from one translation per frame.
extern "C" __global__ void shift(const double *translation, int h, int w, float *start) {
    PIXEL(w, h);
    for (int c = 0; c < 2; c++) start[(2 * z + c) * h * w + y * w + x] = (float)translation[2 * z + c];
}
