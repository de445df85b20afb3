// The 5 x 5 median of the flow's increment, as a network of minima and maxima: twin of median.py, where the network is
// explained.

__device__ inline void order(float &low, float &high) {
    const float smaller = fminf(low, high);
    high = fmaxf(low, high);
    low = smaller;
}

__device__ inline void sort_5(float &a, float &b, float &c, float &d, float &e) {
    order(a, d), order(b, e), order(a, c), order(b, d), order(a, b), order(c, e), order(b, c), order(d, e), order(c, d);
}

// flow (n, 2, h, w) = start + 5 x 5 median of (solved - start), borders replicated; `solved` is by colour (see
// relax.cu). z counts frames and components together.
extern "C" __global__ void median_increment(const float *start, const float *solved, int h, int w, float *flow) {
    PIXEL(w, h);
    const int m = (w + 1) / 2, cells = h * m, plane = h * w;
    const float *before = start + z * plane, *after = solved + 2 * z * cells;
    float t[5][5]; // columns of the window
    for (int i = 0; i < 5; i++) {
        const int column = nearest(x + i - 2, w);
        for (int j = 0; j < 5; j++) {
            const int row = nearest(y + j - 2, h);
            t[j][i] = after[((row + column) & 1) * cells + row * m + column / 2] - before[row * w + column];
        }
        sort_5(t[0][i], t[1][i], t[2][i], t[3][i], t[4][i]);
    }
    for (int j = 0; j < 5; j++) sort_5(t[j][0], t[j][1], t[j][2], t[j][3], t[j][4]);
    // what is left of an odd-even merge sort of the 13 entries that can be the median
    float v0 = t[0][3], v1 = t[0][4], v2 = t[1][3], v3 = t[1][4], v4 = t[1][2], v5 = t[2][1], v6 = t[3][0];
    float v7 = t[4][0], v8 = t[2][2], v9 = t[3][1], v10 = t[4][1], v11 = t[2][3], v12 = t[3][2];
    order(v4, v5), order(v8, v9), order(v10, v11), order(v4, v6), order(v5, v7), order(v1, v2), order(v5, v6);
    order(v9, v10), order(v0, v4), order(v1, v5), order(v2, v6), order(v3, v7), order(v2, v4), order(v3, v5);
    order(v10, v12), order(v1, v2), order(v3, v4), order(v5, v6), order(v11, v12), order(v4, v8), order(v5, v9);
    order(v6, v10), order(v7, v11), order(v2, v4), order(v3, v5), order(v6, v8), order(v7, v9), order(v10, v12);
    order(v3, v4), order(v5, v6), order(v7, v8), order(v9, v10), order(v11, v12);
    flow[z * plane + y * w + x] = before[y * w + x] + v6;
}
