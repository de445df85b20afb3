"""Solve for the flow of a level: lagged nonlinearity around red-black successive over-relaxation.

The minimiser of the energy satisfies, per pixel and with U = (u, v) the total flow and d = (u - u0, v - v0, 1),

    sum_k weight_k psi_d'(d^T J_k d) (J_k d)_c  +  sum over neighbours n of  w_n (U_c - U_c,n) = 0,     c = 1, 2

with w_n = alpha psi_s' / h^2 along the neighbour's axis. Every `lag` sweeps psi' is taken at the present flow; the
linear system in between is relaxed with a 2 x 2 block per pixel:  U += omega (A^-1 (b + sum_n w_n U_n) - U).

The s2 of psi_d' is averaged over 3 x 3 pixels: that of one pixel is mostly noise, and most weight would go to pixels
that agree with the present flow by chance.

First-order smoothness alone lets much noise of high frequency through. So the flow U that was found goes through once
more, as data for itself: with A = sum_k weight_k psi_d' J_k and the same weights, the system

    A (U' - U)  +  sum over neighbours n of  w_n (U'_c - U'_c,n) = 0

is relaxed for half as many sweeps: Tikhonov regularisation iterated, where usual iteration filters what was left over.
The last two of these are not over-relaxed: they smooth what over-relaxation leaves at high frequency.
Where A is the same all over, U' minimises an energy with the Laplacian of the flow beside its gradient. The weights are
smaller than those of a flow that goes through once (`estimator.TWICE`), so that alpha keeps its meaning.

Neighbours outside the image have no term, which is the natural (Neumann) boundary: their ghost cells stay zero and do
not count in the diagonal. Cells without a pixel get zero coefficients and stay zero.

Storage (see layout): a flow is the four arrays (u_red, u_black, v_red, v_black); the system is two arrays (red,
black) of (5, h + 4, n + 32) with the inverse block I11, I12, I22 and the right-hand side B1, B2.
"""

import numpy as np

from .jit import inlined, kernel, merged, power
from .layout import LINE, replicate_border
from .tensor import J11, J12, J13, J22, J23, J33

I11, I12, I22, B1, B2 = range(5)
LEFT, RIGHT, UP, DOWN = range(4)
_F, _N = np.float32, np.uint64
EPSILON = _F(1e-5)  # psi(s2) = (s2 + EPSILON)^a
PLAIN = 2  # the last sweeps of all


@inlined
def _misfit_row(J, u0, v0, u, v, y, s2):
    """s2 = d^T J d of a channel, in row y."""
    for j in range(u.shape[1] - 2 * LINE):
        i = _N(j + LINE)
        du, dv = u[y, i] - u0[y, i], v[y, i] - v0[y, i]
        j11, j12, j22, j13, j23 = J[J11, y, i], J[J12, y, i], J[J22, y, i], J[J13, y, i], J[J23, y, i]
        value = du * (j11 * du + _F(2) * (j12 * dv + j13)) + dv * (j22 * dv + _F(2) * j23) + J[J33, y, i]
        s2[y, i] = max(value, _F(0))


@inlined
def _data_row(J, first, weight, u0, v0, s2, other, s, a_data, S, y):
    """Row y of a channel's data term, added to S after the first: block to I11..I22, right-hand side to B1, B2."""
    p, factor, keep = a_data - _F(1), a_data * weight, _F(0) if first else _F(1)
    for j in range(u0.shape[1] - 2 * LINE):
        i, left, right = _N(j + LINE), _N(j + LINE - 1 + s), _N(j + LINE + s)
        j11, j12, j22, j13, j23 = J[J11, y, i], J[J12, y, i], J[J22, y, i], J[J13, y, i], J[J23, y, i]
        sides = other[y, left] + other[y, right] + other[y - 1, i] + other[y + 1, i]
        corners = s2[y - 1, left] + s2[y - 1, right] + s2[y + 1, left] + s2[y + 1, right]
        mean = _F(0.25) * s2[y, i] + _F(0.125) * sides + _F(0.0625) * corners
        psi = factor * power(mean + EPSILON, p)
        S[I11, y, i] = keep * S[I11, y, i] + psi * j11
        S[I12, y, i] = keep * S[I12, y, i] + psi * j12
        S[I22, y, i] = keep * S[I22, y, i] + psi * j22
        S[B1, y, i] = keep * S[B1, y, i] + psi * (j11 * u0[y, i] + j12 * v0[y, i] - j13)
        S[B2, y, i] = keep * S[B2, y, i] + psi * (j12 * u0[y, i] + j22 * v0[y, i] - j23)


@inlined
def _invert_row(neighbours, S, y):
    """Add the smoothness diagonal to each block of row y and invert it; zero where there is no pixel."""
    for j in range(neighbours.shape[1] - 2 * LINE):
        i = _N(j + LINE)
        diagonal = neighbours[y, i]
        a, b, d = S[I11, y, i] + diagonal, S[I12, y, i], S[I22, y, i] + diagonal
        scale = _F(1) / (a * d - b * b)
        scale = scale if diagonal > _F(0) else _F(0)
        S[I11, y, i] = scale * d
        S[I12, y, i] = -scale * b
        S[I22, y, i] = scale * a


@inlined
def _relax_row(u, v, u_other, v_other, S, y, s, wx, wy, omega):
    """One half-sweep over row y of one colour with constant neighbour weights."""
    for j in range(u.shape[1] - 2 * LINE):
        i, left, right = _N(j + LINE), _N(j + LINE - 1 + s), _N(j + LINE + s)
        ru = S[B1, y, i] + wx * (u_other[y, left] + u_other[y, right]) + wy * (u_other[y - 1, i] + u_other[y + 1, i])
        rv = S[B2, y, i] + wx * (v_other[y, left] + v_other[y, right]) + wy * (v_other[y - 1, i] + v_other[y + 1, i])
        u[y, i] += omega * (S[I11, y, i] * ru + S[I12, y, i] * rv - u[y, i])
        v[y, i] += omega * (S[I12, y, i] * ru + S[I22, y, i] * rv - v[y, i])


@merged
def renew_system(J, weights, start, flow, a_data, w, neighbours, moved, spare, S):
    """The linear system at the present flow: psi_d' by psi(s2) = (s2 + 1e-5)^a_data, one 2 x 2 block per pixel.

    J (C, 2, 6, h + 4, n + 32), red and black per channel, its ghost cells are workspace; weights (C,); start and flow
    (u_red, u_black, v_red, v_black); w, the level's width; neighbours (red, black) with the sum of each pixel's
    neighbour weights, zero where there is no pixel; `moved`, whether the flow is another than the start; `spare` (red,
    black), workspace.
    """
    a_data, h = _F(a_data), flow[0].shape[0] - 4
    for k in range(weights.size):
        red, black = J[k, 0, J33], J[k, 1, J33]  # s2 at the start
        if moved:
            red, black = spare
            for y in range(2, h + 2):
                _misfit_row(J[k, 0], start[0], start[2], flow[0], flow[2], y, red)
                _misfit_row(J[k, 1], start[1], start[3], flow[1], flow[3], y, black)
        replicate_border(red, black, h, w)
        for y in range(2, h + 2):
            s = y & 1
            _data_row(J[k, 0], k == 0, weights[k], start[0], start[2], red, black, s, a_data, S[0], y)
            _data_row(J[k, 1], k == 0, weights[k], start[1], start[3], black, red, 1 - s, a_data, S[1], y)
            if k == weights.size - 1:
                _invert_row(neighbours[0], S[0], y)
                _invert_row(neighbours[1], S[1], y)


@kernel
def sweep(S, wx, wy, omega, sweeps, flow):
    """`sweeps` red-black sweeps with the neighbour weights wx, wy (alpha / h^2 per axis) everywhere.

    All sweeps go over the rows together, each two rows behind the one before, so that the rows in work stay in cache.
    The order of updates that depend on each other, and so the result, is that of separate sweeps.
    """
    h = flow[0].shape[0] - 4
    wx, wy, omega = _F(wx), _F(wy), _F(omega)
    for front in range(2, h + 1 + 2 * sweeps):
        for k in range(max((front - h - 1) // 2, 0), min(front // 2, sweeps)):  # those that are in the image
            y = front - 2 * k
            if y < h + 2:
                _relax_row(flow[0], flow[2], flow[1], flow[3], S[0], y, y & 1, wx, wy, omega)
            if y > 2:
                _relax_row(flow[1], flow[3], flow[0], flow[2], S[1], y - 1, y & 1, wx, wy, omega)


@inlined
def _again_row(u, v, u_other, v_other, neighbours, S, y, s, wx, wy):
    for j in range(u.shape[1] - 2 * LINE):
        i, left, right = _N(j + LINE), _N(j + LINE - 1 + s), _N(j + LINE + s)
        around_u = wx * (u_other[y, left] + u_other[y, right]) + wy * (u_other[y - 1, i] + u_other[y + 1, i])
        around_v = wx * (v_other[y, left] + v_other[y, right]) + wy * (v_other[y - 1, i] + v_other[y + 1, i])
        S[B1, y, i] += around_u - neighbours[y, i] * u[y, i]
        S[B2, y, i] += around_v - neighbours[y, i] * v[y, i]


@merged
def once_more(neighbours, wx, wy, flow, S):
    """Make the present flow the data: A U, which is b + sum_n w_n (U_n - U) where U is relaxed."""
    wx, wy = _F(wx), _F(wy)
    for y in range(2, flow[0].shape[0] - 2):
        s = y & 1
        _again_row(flow[0], flow[2], flow[1], flow[3], neighbours[0], S[0], y, s, wx, wy)
        _again_row(flow[1], flow[3], flow[0], flow[2], neighbours[1], S[1], y, 1 - s, wx, wy)


@inlined
def _copy(source, target):
    for k in range(4):
        a, b = source[k], target[k]
        for y in range(a.shape[0]):
            for x in range(a.shape[1]):
                b[y, x] = a[y, x]


@merged
def solve(J, weights, start, a_data, w, neighbours, wx, wy, omega, iterations, lag, spare, S, flow):
    """Flow from `start`, quadratic smoothness (a_smooth = 1): `lag` sweeps after each renewal of the system, then
    half as many with the flow as data."""
    _copy(start, flow)
    for done in range(0, iterations, lag):
        renew_system(J, weights, start, flow, a_data, w, neighbours, done > 0, spare, S)
        sweep(S, wx, wy, omega, min(lag, iterations - done), flow)
    once_more(neighbours, wx, wy, flow, S)
    sweep(S, wx, wy, omega, max(iterations // 2 - PLAIN, 0), flow)
    sweep(S, wx, wy, 1.0, min(iterations // 2, PLAIN), flow)


@inlined
def _edge_row(u, v, u_other, v_other, y, s, h, w, wx, wy, per_x, per_y, a, pixels, E, neighbours):
    """Neighbour weights alpha psi_s'(|difference|^2 / h^2) / h^2 of row y, and their sum; zero across the border."""
    p = a - _F(1)
    wx, wy = wx * a, wy * a
    up, down = _F(1) if y > 2 else _F(0), _F(1) if y < h + 1 else _F(0)
    for j in range(u.shape[1] - 2 * LINE):
        i, left, right = _N(j + LINE), _N(j + LINE - 1 + s), _N(j + LINE + s)
        x = 2 * j + s
        here = _F(1) if pixels[y, i] > _F(0) else _F(0)
        du, dv = u_other[y, left] - u[y, i], v_other[y, left] - v[y, i]
        wl = here * wx * power((du * du + dv * dv) * per_x + EPSILON, p) if x > 0 else _F(0)
        du, dv = u_other[y, right] - u[y, i], v_other[y, right] - v[y, i]
        wr = here * wx * power((du * du + dv * dv) * per_x + EPSILON, p) if x < w - 1 else _F(0)
        du, dv = u_other[y - 1, i] - u[y, i], v_other[y - 1, i] - v[y, i]
        wu = here * up * wy * power((du * du + dv * dv) * per_y + EPSILON, p)
        du, dv = u_other[y + 1, i] - u[y, i], v_other[y + 1, i] - v[y, i]
        wd = here * down * wy * power((du * du + dv * dv) * per_y + EPSILON, p)
        E[LEFT, y, i], E[RIGHT, y, i], E[UP, y, i], E[DOWN, y, i] = wl, wr, wu, wd
        neighbours[y, i] = wl + wr + wu + wd


@kernel
def renew_edges(flow, w, wx, wy, hx, hy, a_smooth, pixels, E, neighbours):
    """Neighbour weights at the present flow for a_smooth < 1: E (red, black) of (4, h + 4, n + 32), and their sums.

    `pixels` (red, black) is zero in cells without a pixel.
    """
    h = flow[0].shape[0] - 4
    per_x, per_y = _F(1 / (hx * hx)), _F(1 / (hy * hy))
    wx, wy, a = _F(wx), _F(wy), _F(a_smooth)
    for y in range(2, h + 2):
        s = y & 1
        _edge_row(
            flow[0], flow[2], flow[1], flow[3], y, s, h, w, wx, wy, per_x, per_y, a, pixels[0], E[0], neighbours[0]
        )
        s = 1 - s
        _edge_row(
            flow[1], flow[3], flow[0], flow[2], y, s, h, w, wx, wy, per_x, per_y, a, pixels[1], E[1], neighbours[1]
        )


@inlined
def _relax_edge_row(u, v, u_other, v_other, S, E, y, s, omega):
    """`_relax_row` with a weight per neighbour."""
    for j in range(u.shape[1] - 2 * LINE):
        i, left, right = _N(j + LINE), _N(j + LINE - 1 + s), _N(j + LINE + s)
        wl, wr, wu, wd = E[LEFT, y, i], E[RIGHT, y, i], E[UP, y, i], E[DOWN, y, i]
        ru = (
            S[B1, y, i]
            + wl * u_other[y, left]
            + wr * u_other[y, right]
            + wu * u_other[y - 1, i]
            + wd * u_other[y + 1, i]
        )
        rv = (
            S[B2, y, i]
            + wl * v_other[y, left]
            + wr * v_other[y, right]
            + wu * v_other[y - 1, i]
            + wd * v_other[y + 1, i]
        )
        u[y, i] += omega * (S[I11, y, i] * ru + S[I12, y, i] * rv - u[y, i])
        v[y, i] += omega * (S[I12, y, i] * ru + S[I22, y, i] * rv - v[y, i])


@kernel
def sweep_edges(S, E, omega, sweeps, flow):
    """`sweep` with the neighbour weights E of `renew_edges`."""
    h = flow[0].shape[0] - 4
    omega = _F(omega)
    for front in range(2, h + 1 + 2 * sweeps):
        for k in range(max((front - h - 1) // 2, 0), min(front // 2, sweeps)):
            y = front - 2 * k
            if y < h + 2:
                _relax_edge_row(flow[0], flow[2], flow[1], flow[3], S[0], E[0], y, y & 1, omega)
            if y > 2:
                _relax_edge_row(flow[1], flow[3], flow[0], flow[2], S[1], E[1], y - 1, y & 1, omega)


@inlined
def _again_edge_row(u, v, u_other, v_other, E, neighbours, S, y, s):
    for j in range(u.shape[1] - 2 * LINE):
        i, left, right = _N(j + LINE), _N(j + LINE - 1 + s), _N(j + LINE + s)
        wl, wr, wu, wd = E[LEFT, y, i], E[RIGHT, y, i], E[UP, y, i], E[DOWN, y, i]
        sides_u, sides_v = (
            wl * u_other[y, left] + wr * u_other[y, right],
            wl * v_other[y, left] + wr * v_other[y, right],
        )
        S[B1, y, i] += sides_u + wu * u_other[y - 1, i] + wd * u_other[y + 1, i] - neighbours[y, i] * u[y, i]
        S[B2, y, i] += sides_v + wu * v_other[y - 1, i] + wd * v_other[y + 1, i] - neighbours[y, i] * v[y, i]


@merged
def once_more_edges(E, neighbours, flow, S):
    """`once_more` with the neighbour weights E of `renew_edges`."""
    for y in range(2, flow[0].shape[0] - 2):
        s = y & 1
        _again_edge_row(flow[0], flow[2], flow[1], flow[3], E[0], neighbours[0], S[0], y, s)
        _again_edge_row(flow[1], flow[3], flow[0], flow[2], E[1], neighbours[1], S[1], y, 1 - s)


@kernel
def solve_edges(
    J, weights, start, a_data, level, a_smooth, pixels, omega, iterations, lag, E, neighbours, spare, S, flow
):
    """`solve` for a_smooth < 1, where smoothness has weights of its own; `level` is (w, wx, wy, hx, hy)."""
    w, wx, wy, hx, hy = level
    _copy(start, flow)
    for done in range(0, iterations, lag):
        renew_edges(flow, w, wx, wy, hx, hy, a_smooth, pixels, E, neighbours)
        renew_system(J, weights, start, flow, a_data, w, neighbours, done > 0, spare, S)
        sweep_edges(S, E, omega, min(lag, iterations - done), flow)
    once_more_edges(E, neighbours, flow, S)
    sweep_edges(S, E, omega, max(iterations // 2 - PLAIN, 0), flow)
    sweep_edges(S, E, 1.0, min(iterations // 2, PLAIN), flow)
