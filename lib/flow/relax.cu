// Lagged nonlinearity around red-black successive over-relaxation: twin of relax.py, where the equations are.
//
// Only here are pixels stored by colour, as in layout.py but without ghost cells: pixel (y, x) is red (0) if x + y is
// even, black (1) if odd, and cell j = x / 2 of row y in its colour's plane of (h, m), m = (w + 1) / 2. A half-sweep then
// reads and writes whole rows. flow (n, 4, h, m) is u_red, u_black, v_red, v_black; the system S (n, 2, 5, h, m) holds
// per colour the inverse block I11, I12, I22 and the right-hand side B1, B2; E (n, 2, 4, h, m) the neighbours' weights.

#define EPSILON 1e-5f // psi(s2) = (s2 + EPSILON)^a

enum { I11, I12, I22, B1, B2 };
enum { LEFT, RIGHT, UP, DOWN };

__device__ inline float power(float x, float p) { return exp2f(p * log2f(x)); }

// flow = start (n, 2, h, w)
extern "C" __global__ void copy_start(const float *start, int h, int w, float *flow) {
    PIXEL(w, h);
    const int colour = (x + y) & 1, m = (w + 1) / 2, cell = y * m + x / 2;
    for (int c = 0; c < 2; c++) flow[(4 * z + 2 * c + colour) * h * m + cell] = start[(2 * z + c) * h * w + y * w + x];
}

// s2 = d^T J d of every channel, (n, C, h, w), at the present flow. z counts frames and channels together.
extern "C" __global__ void misfit(const float *J, int channels, const float *start, const float *flow, int h, int w,
                                  float *s2) {
    PIXEL(w, h);
    const int colour = (x + y) & 1, m = (w + 1) / 2, cell = y * m + x / 2, cells = h * m, plane = h * w, at = y * w + x;
    const size_t frame = z / channels;
    const float du = flow[(4 * frame + colour) * cells + cell] - start[2 * frame * plane + at];
    const float dv = flow[(4 * frame + 2 + colour) * cells + cell] - start[(2 * frame + 1) * plane + at];
    const float *j = J + z * 6 * plane + at;
    const float value = du * (j[0] * du + 2 * (j[plane] * dv + j[3 * plane])) +
                        dv * (j[2 * plane] * dv + 2 * j[4 * plane]) + j[5 * plane];
    s2[z * plane + at] = fmaxf(value, 0.f);
}

// The linear system of one pixel, from s2 of each channel in planes that lie `apart` floats apart; `diagonal` is the sum
// of its neighbours' weights.
__device__ inline void renew(const float *J, const float *weights, int channels, const float *start, const float *s2,
                             int apart, float a_data, float diagonal, int y, int x, int h, int w, size_t z, float *S) {
    const int colour = (x + y) & 1, m = (w + 1) / 2, cell = y * m + x / 2, cells = h * m, plane = h * w, at = y * w + x;
    const float u0 = start[2 * z * plane + at], v0 = start[(2 * z + 1) * plane + at];
    float a = 0, b = 0, d = 0, b1 = 0, b2 = 0;
    for (int k = 0; k < channels; k++) {
        const float *j = J + (z * channels + k) * 6 * plane + at;
        const float j11 = j[0], j12 = j[plane], j22 = j[2 * plane];
        const float j13 = j[3 * plane], j23 = j[4 * plane];
        const float *s = s2 + (z * channels + k) * apart;
        const float sides = pixel(s, y, x - 1, h, w) + pixel(s, y, x + 1, h, w) + pixel(s, y - 1, x, h, w) +
                            pixel(s, y + 1, x, h, w);
        const float corners = pixel(s, y - 1, x - 1, h, w) + pixel(s, y - 1, x + 1, h, w) +
                              pixel(s, y + 1, x - 1, h, w) + pixel(s, y + 1, x + 1, h, w);
        const float mean = 0.25f * s[at] + 0.125f * sides + 0.0625f * corners;
        const float psi = a_data * weights[k] * power(mean + EPSILON, a_data - 1);
        a += psi * j11;
        b += psi * j12;
        d += psi * j22;
        b1 += psi * (j11 * u0 + j12 * v0 - j13);
        b2 += psi * (j12 * u0 + j22 * v0 - j23);
    }
    // the determinant of the block, written so that rounding cannot make it 0 or negative
    const float scale = 1 / (diagonal * (diagonal + a + d) + fmaxf(a * d - b * b, 0.f));
    S += (2 * z + colour) * 5 * cells + cell;
    S[I11 * cells] = scale * (d + diagonal);
    S[I12 * cells] = -scale * b;
    S[I22 * cells] = scale * (a + diagonal);
    S[B1 * cells] = b1;
    S[B2 * cells] = b2;
}

extern "C" __global__ void renew_system(const float *J, const float *weights, int channels, const float *start,
                                        const float *s2, int apart, float a_data, float wx, float wy, int h, int w,
                                        float *S) {
    PIXEL(w, h);
    const float diagonal = wy * (float)((y > 0) + (y < h - 1)) + wx * (float)((x > 0) + (x < w - 1));
    renew(J, weights, channels, start, s2, apart, a_data, diagonal, y, x, h, w, z, S);
}

// `renew_system` with the neighbours' weights E.
extern "C" __global__ void renew_system_edges(const float *J, const float *weights, int channels, const float *start,
                                              const float *s2, int apart, float a_data, const float *E, int h, int w,
                                              float *S) {
    PIXEL(w, h);
    const int cells = h * ((w + 1) / 2);
    const float *e = E + (2 * z + ((x + y) & 1)) * 4 * cells + y * ((w + 1) / 2) + x / 2;
    const float diagonal = e[LEFT * cells] + e[RIGHT * cells] + e[UP * cells] + e[DOWN * cells];
    renew(J, weights, channels, start, s2, apart, a_data, diagonal, y, x, h, w, z, S);
}

// Neighbours' weights at the present flow for a_smooth < 1: alpha psi_s'(|difference|^2 / h^2) / h^2, 0 across the
// border. wx, wy are alpha / h^2.
extern "C" __global__ void renew_edges(const float *flow, float wx, float wy, float hx, float hy, float a_smooth, int h,
                                       int w, float *E) {
    PIXEL(w, h);
    const int colour = (x + y) & 1, m = (w + 1) / 2, cells = h * m, j = x / 2, s = x & 1;
    const float *u = flow + (4 * z + colour) * cells, *v = u + 2 * cells;
    const float *u_other = flow + (4 * z + 1 - colour) * cells, *v_other = u_other + 2 * cells;
    const int neighbour[4] = {y * m + j - 1 + s, y * m + j + s, (y - 1) * m + j, (y + 1) * m + j};
    const bool exists[4] = {x > 0, x < w - 1, y > 0, y < h - 1};
    E += (2 * z + colour) * 4 * cells + y * m + j;
    for (int k = 0; k < 4; k++) {
        float weight = 0;
        if (exists[k]) {
            const float du = u_other[neighbour[k]] - u[y * m + j], dv = v_other[neighbour[k]] - v[y * m + j];
            const float pixel = k == LEFT || k == RIGHT ? hx : hy, alpha = k == LEFT || k == RIGHT ? wx : wy;
            weight = alpha * a_smooth * power((du * du + dv * dv) / (pixel * pixel) + EPSILON, a_smooth - 1);
        }
        E[k * cells] = weight;
    }
}

// (ru, rv) += the four neighbours of cell j of row y, weighted; a neighbour outside the image has no weight.
__device__ inline void add_neighbours(float wl, float wr, float wu, float wd, int colour, int y, int j, int h, int m,
                                      const float *flow, float &ru, float &rv) {
    const int cells = h * m, s = (y + colour) & 1, i = y * m + j, left = i - 1 + s, right = i + s;
    const float *u_other = flow + (1 - colour) * cells, *v_other = u_other + 2 * cells;
    if (wl > 0) ru += wl * u_other[left], rv += wl * v_other[left];
    if (wr > 0) ru += wr * u_other[right], rv += wr * v_other[right];
    if (wu > 0) ru += wu * u_other[i - m], rv += wu * v_other[i - m];
    if (wd > 0) ru += wd * u_other[i + m], rv += wd * v_other[i + m];
}

// b += sum of w_n (U_n - U): from now on the present flow is the data, see relax.py.
__device__ inline void again(float wl, float wr, float wu, float wd, int y, int x, int h, int w, size_t z,
                             const float *flow, float *S) {
    const int colour = (x + y) & 1, m = (w + 1) / 2, cells = h * m, i = y * m + x / 2;
    flow += 4 * z * cells;
    S += (2 * z + colour) * 5 * cells;
    float ru = 0, rv = 0;
    add_neighbours(wl, wr, wu, wd, colour, y, x / 2, h, m, flow, ru, rv);
    S[B1 * cells + i] += ru - (wl + wr + wu + wd) * flow[colour * cells + i];
    S[B2 * cells + i] += rv - (wl + wr + wu + wd) * flow[(2 + colour) * cells + i];
}

extern "C" __global__ void once_more(float wx, float wy, const float *flow, int h, int w, float *S) {
    PIXEL(w, h);
    again(x > 0 ? wx : 0.f, x < w - 1 ? wx : 0.f, y > 0 ? wy : 0.f, y < h - 1 ? wy : 0.f, y, x, h, w, z, flow, S);
}

extern "C" __global__ void once_more_edges(const float *E, const float *flow, int h, int w, float *S) {
    PIXEL(w, h);
    const int cells = h * ((w + 1) / 2);
    const float *e = E + (2 * z + ((x + y) & 1)) * 4 * cells + y * ((w + 1) / 2) + x / 2;
    again(e[LEFT * cells], e[RIGHT * cells], e[UP * cells], e[DOWN * cells], y, x, h, w, z, flow, S);
}

// Relax cell j of row y with the weights of its four neighbours.
__device__ inline void relax(const float *S, float wl, float wr, float wu, float wd, float omega, int colour, int y,
                             int j, int h, int m, float *flow) {
    const int cells = h * m, i = y * m + j;
    float *u = flow + colour * cells, *v = u + 2 * cells;
    float ru = S[B1 * cells + i], rv = S[B2 * cells + i];
    add_neighbours(wl, wr, wu, wd, colour, y, j, h, m, flow, ru, rv);
    const float i12 = S[I12 * cells + i];
    u[i] += omega * (S[I11 * cells + i] * ru + i12 * rv - u[i]);
    v[i] += omega * (i12 * ru + S[I22 * cells + i] * rv - v[i]);
}

__device__ inline void relax_constant(const float *S, float wx, float wy, float omega, int colour, int y, int j, int h,
                                      int w, float *flow) {
    const int x = 2 * j + ((y + colour) & 1);
    if (x >= w) return;
    relax(S, x > 0 ? wx : 0.f, x < w - 1 ? wx : 0.f, y > 0 ? wy : 0.f, y < h - 1 ? wy : 0.f, omega, colour, y, j, h,
          (w + 1) / 2, flow);
}

__device__ inline void relax_edges(const float *S, const float *E, float omega, int colour, int y, int j, int h, int w,
                                   float *flow) {
    const int m = (w + 1) / 2, cells = h * m, i = y * m + j;
    if (2 * j + ((y + colour) & 1) >= w) return;
    relax(S, E[LEFT * cells + i], E[RIGHT * cells + i], E[UP * cells + i], E[DOWN * cells + i], omega, colour, y, j, h,
          m, flow);
}

// Half a sweep: all pixels of one colour, with the weights wx, wy everywhere. x counts cells here.
extern "C" __global__ void half_sweep(const float *S, float wx, float wy, float omega, int colour, int h, int w,
                                      float *flow) {
    PIXEL((w + 1) / 2, h);
    const int cells = h * ((w + 1) / 2);
    relax_constant(S + (2 * z + colour) * 5 * cells, wx, wy, omega, colour, y, x, h, w, flow + 4 * z * cells);
}

extern "C" __global__ void half_sweep_edges(const float *S, const float *E, float omega, int colour, int h, int w,
                                            float *flow) {
    PIXEL((w + 1) / 2, h);
    const int cells = h * ((w + 1) / 2);
    relax_edges(S + (2 * z + colour) * 5 * cells, E + (2 * z + colour) * 4 * cells, omega, colour, y, x, h, w,
                flow + 4 * z * cells);
}

// All sweeps of a small level in one launch: a block takes a frame, and its threads the cells in turn.
extern "C" __global__ void sweep(const float *S, float wx, float wy, float omega, int sweeps, int h, int w,
                                 float *flow) {
    const size_t z = blockIdx.x;
    const int m = (w + 1) / 2, cells = h * m;
    for (int half = 0; half < 2 * sweeps; half++) {
        const int colour = half & 1;
        for (int i = threadIdx.x; i < cells; i += blockDim.x)
            relax_constant(S + (2 * z + colour) * 5 * cells, wx, wy, omega, colour, i / m, i % m, h, w,
                           flow + 4 * z * cells);
        __syncthreads();
    }
}

extern "C" __global__ void sweep_edges(const float *S, const float *E, float omega, int sweeps, int h, int w,
                                       float *flow) {
    const size_t z = blockIdx.x;
    const int m = (w + 1) / 2, cells = h * m;
    for (int half = 0; half < 2 * sweeps; half++) {
        const int colour = half & 1;
        for (int i = threadIdx.x; i < cells; i += blockDim.x)
            relax_edges(S + (2 * z + colour) * 5 * cells, E + (2 * z + colour) * 4 * cells, omega, colour, i / m, i % m,
                        h, w, flow + 4 * z * cells);
        __syncthreads();
    }
}
