"""The steps of an estimation in compiled code: each finds its arrays in memory and calls its kernel.

`flows` takes them all, for several frames: one call, without Python in between. Arguments: `c` and `m`, the constants
and a thread's memory; `shared`, `levels`, `tables` and `rigid`, what lies where in them (see memory); `constancy` and
`a_smooth`, None for gradient constancy and for quadratic smoothness, so that the other terms are compiled for those
who use them.
"""

import numpy as np

from . import median, pyramid, relax, spline, tensor, warp
from .jit import step
from .memory import array_2d, array_3d, pair, row, some_rows, stacks, table, two_pairs
from .rigid import phase_correlation

_F = np.float32
ROWS = 9  # of workspace, in the largest number that a step takes


@step
def pad(frames, bounds, out):
    """out (n, C, H + 4, W + 4) float32 = frames (n, C, H, W) of any type, with two replicated pixels on every side.

    Channels are clipped to bounds (C, 2) float32.
    """
    n, channels, h, w = frames.shape
    for t in range(n):
        for c in range(channels):
            low, high = bounds[c, 0], bounds[c, 1]
            for y in range(h + 4):
                source = min(max(y - 2, 0), h - 1)
                for x in range(w):
                    out[t, c, y, x + 2] = min(max(_F(frames[t, c, source, x]), low), high)
                out[t, c, y, 0] = out[t, c, y, 1] = out[t, c, y, 2]
                out[t, c, y, w + 2] = out[t, c, y, w + 3] = out[t, c, y, w + 1]


@step
def load(c, m, frame, shared, levels, tables):
    """Normalise, smooth and reduce a padded frame (C, H + 4, W + 4) to every level."""
    limits = array_2d(c, shared.normalisation, shared.channels, 2)
    for channel in range(shared.channels):
        image = frame[channel]
        offset, scale = limits[channel, 0], limits[channel, 1]
        for k in range(levels.size):
            y_start, y_weight = table(c, tables[k, channel, 0])
            x_start, x_weight = table(c, tables[k, channel, 1])
            smaller = array_3d(m, levels[k].image, shared.channels, levels[k].h + 4, levels[k].w + 4)[channel]
            pyramid.resample_image(
                image, y_start, y_weight, x_start, x_weight, offset, scale, row(m, shared, 0), smaller
            )
            image, offset, scale = smaller, _F(0), _F(1)


@step
def mix(c, m, shared, level, out):
    """out (h + 4, w + 4) = the weighted mean of the channels on a level."""
    for y in range(level.h + 4):
        for x in range(level.w + 4):
            out[y, x] = _F(0)
    for channel in range(shared.channels):
        weight = c[shared.weights + channel]
        image = array_3d(m, level.image, shared.channels, level.h + 4, level.w + 4)[channel]
        for y in range(level.h + 4):
            for x in range(level.w + 4):
                out[y, x] += weight * image[y, x]


@step
def translate(c, m, shared, levels, rigid):
    """The translation (u, v) of the loaded frame, in pixels of the full frame."""
    level, r = levels[rigid.level], rigid
    mixed = array_2d(m, r.mixed, level.h + 4, level.w + 4)
    mix(c, m, shared, level, mixed)
    u, v = phase_correlation(
        mixed,
        r.top + 2,
        r.left + 2,
        array_2d(c, r.window, r.h, r.w),
        array_2d(c, r.along_x, r.w, 2 * r.frequencies),
        array_2d(c, r.along_y, 2 * r.h, 2 * r.h),
        array_3d(c, r.filter, 2, r.h, r.frequencies),
        array_2d(c, r.back_y, 2 * r.h, 2 * r.ny),
        array_2d(c, r.back_x, 2 * r.frequencies, r.nx),
        array_2d(m, r.part, r.w, r.h),
        array_2d(m, r.rows, r.h, 2 * r.frequencies),
        array_2d(m, r.spectrum, 2 * r.h, r.frequencies),
        array_2d(m, r.columns, 2 * r.ny, r.frequencies),
        array_2d(m, r.surface, r.ny, r.nx),
    )
    return u * level.hx, v * level.hy


@step
def shift(c, m, levels, k, u, v):
    """Start level k from one translation (u, v), in pixels of the full frame."""
    level = levels[k]
    start, pixels = two_pairs(m, level.start, level), pair(c, level.neighbours, level)
    for i in range(4):
        value = _F(u) if i < 2 else _F(v)
        for y in range(level.h + 4):
            for x in range(level.n):
                start[i][y, x] = value if pixels[i & 1][y, x] > _F(0) else _F(0)


@step
def enlarge(c, m, shared, levels, tables, k):
    """Start level k from the flow of the next coarser one."""
    coarser, level = levels[k + 1], levels[k]
    y_start, y_weight = table(c, tables[k + 1, shared.channels, 0])
    x_start, x_weight = table(c, tables[k + 1, shared.channels, 1])
    flow, start = two_pairs(m, coarser.flow, coarser), two_pairs(m, level.start, level)
    line, rows = row(m, shared, 0), some_rows(m, shared, 1, 4)
    pyramid.resample_flow(flow, y_start, y_weight, x_start, x_weight, line, rows, start)


@step
def constrain(c, m, shared, levels, k, constancy):
    """Warp the level's frame with its starting flow and form the motion tensor of every channel.

    Nothing else needs the frame from now on: its coefficients take its place.
    """
    level = levels[k]
    images = array_3d(m, level.image, shared.channels, level.h + 4, level.w + 4)
    start = two_pairs(m, level.start, level)
    difference = pair(m, shared.difference, level)
    spare = pair(m, shared.spare, level), pair(m, shared.spare + 2 * level.size, level)
    at = row(m, shared, 4).view(np.int32)
    lines = array_2d(m, shared.spare, level.h, level.w)
    for channel in range(shared.channels):
        spline.to_coefficients(images[channel], row(m, shared, 0), lines)
        reference = pair(c, level.reference + 2 * channel * level.size, level)
        J = stacks(m, shared.tensor + 12 * channel * level.size, 6, level)
        rows, theta = some_rows(m, shared, 0, 4), c[level.theta + channel]
        warp.warp_level(images[channel], reference, start, level.hx, level.hy, rows, at, difference)
        tensor.motion_tensor(constancy, reference, difference, level.w, level.hx, level.hy, theta, spare, J)


@step
def solve(c, m, shared, levels, k, a_smooth):
    """Relax the flow of level k from its start."""
    level = levels[k]
    weights = c[shared.weights : shared.weights + shared.channels]
    tensors = m[shared.tensor : shared.tensor + 12 * shared.channels * level.size]
    J = tensors.reshape(shared.channels, 2, 6, level.h + 4, level.n)
    start, flow = two_pairs(m, level.start, level), two_pairs(m, level.flow, level)
    neighbours, system = pair(c, level.neighbours, level), stacks(m, shared.system, 5, level)
    omega, iterations, lag, spare = shared.omega, shared.iterations, shared.lag, pair(m, shared.spare, level)
    if a_smooth is None:
        relax.solve(
            J, weights, start, shared.a_data, level.w, neighbours, level.wx, level.wy, omega, iterations, lag, spare,
            system, flow,
        )  # fmt: skip
    else:
        grid = level.w, level.wx, level.wy, level.hx, level.hy
        edges, sums = stacks(m, shared.edges, 4, level), pair(m, shared.sums, level)
        relax.solve_edges(
            J, weights, start, shared.a_data, grid, a_smooth, neighbours, omega, iterations, lag, edges, sums,
            spare, system, flow,
        )  # fmt: skip


@step
def smooth(m, shared, levels, k):
    """Replace the increment of level k by its 5 x 5 median."""
    level = levels[k]
    start, flow = two_pairs(m, level.start, level), two_pairs(m, level.flow, level)
    even, odd = array_2d(m, shared.columns, 5, level.n), array_2d(m, shared.columns + 5 * level.n, 5, level.n)
    median.median_increment(start, level.w, pair(m, shared.spare, level), even, odd, flow)


@step
def finish(c, m, shared, levels, tables, out):
    """out (H, 2 W) = the flow of the full frame from the finest level, see `layout.in_lines`."""
    level = levels[0]
    flow = two_pairs(m, level.flow, level)
    if tables[0, shared.channels, 0].taps:
        y_start, y_weight = table(c, tables[0, shared.channels, 0])
        x_start, x_weight = table(c, tables[0, shared.channels, 1])
        rows = some_rows(m, shared, 1, 4), some_rows(m, shared, 5, 4)
        pyramid.resample_flow_to_frame(flow, y_start, y_weight, x_start, x_weight, row(m, shared, 0), rows, out)
    else:
        pyramid.flow_to_frame(flow, out)


@step
def flows(c, m, frames, shared, levels, tables, rigid, constancy, a_smooth, out):
    """out (n, H, 2 W) = the flow of padded frames (n, C, H + 4, W + 4); `estimator.coarse_to_fine` says the same of one
    in Python."""
    coarsest = levels.size - 1
    for t in range(len(frames)):
        load(c, m, frames[t], shared, levels, tables)
        u, v = translate(c, m, shared, levels, rigid)
        shift(c, m, levels, coarsest, u, v)
        for k in range(coarsest, -1, -1):
            if k < coarsest:
                enlarge(c, m, shared, levels, tables, k)
            constrain(c, m, shared, levels, k, constancy)
            solve(c, m, shared, levels, k, a_smooth)
            smooth(m, shared, levels, k)
        finish(c, m, shared, levels, tables, out[t])
