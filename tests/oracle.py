"""The flow kernel in plain NumPy and float64: slow, in the order of the equations, the measure of the fast one.

Images are (H, W, C) arrays, a flow is (h, w, 2); nothing is stored apart, nothing is fused.
"""

import numpy as np

A = -0.75  # Keys' cubic
EPSILON, FLATNESS, SOFT = 1e-5, 3.0, 0.05


def keys(t):
    t = np.abs(t)
    near = (A + 2) * t**3 - (A + 3) * t**2 + 1
    far = A * t**3 - 5 * A * t**2 + 8 * A * t - 4 * A
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def resampling_matrix(n_in, n_out, sigma=0.0):
    """Cubic interpolation at the output's pixel centres, after a Gaussian, mirrored at the border, as (n_out, n_in)."""

    def filter_matrix(centres, weight, reach):
        m = np.zeros((len(centres), n_in))
        for row, centre in enumerate(centres):
            for at in range(int(np.floor(centre)) - reach, int(np.floor(centre)) + reach + 1):
                mirrored = at
                while not 0 <= mirrored < n_in:
                    mirrored = -1 - mirrored if mirrored < 0 else 2 * n_in - 1 - mirrored
                m[row, mirrored] += weight(at - centre)
        return m / m.sum(1, keepdims=True)

    m = filter_matrix((np.arange(n_out) + 0.5) * n_in / n_out - 0.5, keys, 3)
    if sigma > 0:
        reach = int(np.ceil(3 * sigma)) + 1
        m = m @ filter_matrix(np.arange(n_in), lambda d: np.exp(-(d**2) / (2 * sigma**2)), reach)
    m = np.where(np.abs(m) < 1e-3 * np.abs(m).max(1, keepdims=True), 0, m)
    return m / m.sum(1, keepdims=True)


def resample(image, shape, sigma=(0.0, 0.0)):
    """An (H, W) image resampled to `shape`, smoothed by sigma (y, x)."""
    my, mx = (resampling_matrix(n, m, s) for n, m, s in zip(image.shape, shape, sigma, strict=True))
    return my @ image @ mx.T


def sample_cubic(image, px, py):
    """image at (px, py) inside it; the border pixel repeats."""
    h, w = image.shape
    ix, iy = np.floor(px).astype(int), np.floor(py).astype(int)
    value = np.zeros_like(px)
    for j in range(-1, 3):
        for i in range(-1, 3):
            tap = image[np.clip(iy + j, 0, h - 1), np.clip(ix + i, 0, w - 1)]
            value += keys(py - iy - j) * keys(px - ix - i) * tap
    return value


def spline_matrix(n):
    """B3(i - k) for pixels i and coefficients k of a line, the coefficients beyond its ends mirrored, (n, n)."""
    m = np.zeros((n, n))
    for i in range(n):
        for k, value in ((i - 1, 1 / 6), (i, 4 / 6), (i + 1, 1 / 6)):
            m[i, n - 1 - abs(n - 1 - abs(k))] += value
    return m


def sample_spline(image, px, py):
    """The cubic spline through the pixels of image at (px, py) inside it, mirrored at the outer pixels."""
    h, w = image.shape
    coefficients = np.linalg.solve(spline_matrix(w), np.linalg.solve(spline_matrix(h), image).T).T
    ix, iy = np.floor(px).astype(int), np.floor(py).astype(int)

    def b3(t):
        t = np.abs(t)
        return np.where(t <= 1, 2 / 3 - t**2 + t**3 / 2, np.where(t < 2, (2 - t) ** 3 / 6, 0))

    value = np.zeros_like(px)
    for j in range(-1, 3):
        for i in range(-1, 3):
            tap = coefficients[h - 1 - abs(h - 1 - abs(iy + j)), w - 1 - abs(w - 1 - abs(ix + i))]
            value += b3(py - iy - j) * b3(px - ix - i) * tap
    return value


def warp(frame, reference, flow, hx=1.0, hy=1.0, sample=sample_spline):
    """The frame at x + u, y + v, and the reference where that is outside."""
    h, w = frame.shape
    y, x = np.mgrid[0.0:h, 0.0:w]
    px, py = x + flow[..., 0] / hx, y + flow[..., 1] / hy
    inside = (px >= 0) & (px <= w - 1) & (py >= 0) & (py <= h - 1)
    value = sample(frame, np.clip(px, 0, w - 1), np.clip(py, 0, h - 1))
    return np.where(inside, value, reference)


def shifted(image, dy, dx):
    """image(y + dy, x + dx), the border pixel repeating."""
    h, w = image.shape
    padded = np.pad(image, 2, mode="edge")
    return padded[2 + dy : 2 + dy + h, 2 + dx : 2 + dx + w]


def outer(gx, gy, gt):
    """(gx, gy, gt)^T (gx, gy, gt) per pixel, (3, 3, h, w)."""
    g = np.stack([gx, gy, gt])
    return g[:, None] * g[None, :]


def tensor(constancy, reference, warped, hx, hy):
    t = warped - reference
    if constancy == "gc":
        f = reference
        fxx = (shifted(f, 0, 2) - 2 * f + shifted(f, 0, -2)) / (4 * hx**2)
        fyy = (shifted(f, 2, 0) - 2 * f + shifted(f, -2, 0)) / (4 * hy**2)
        fxy = shifted(f, 1, 1) - shifted(f, 1, -1) - shifted(f, -1, 1) + shifted(f, -1, -1)
        fxy = fxy / (4 * hx * hy)
        tx = (shifted(t, 0, 1) - shifted(t, 0, -1)) / (2 * hx)
        ty = (shifted(t, 1, 0) - shifted(t, -1, 0)) / (2 * hy)
        theta = max(FLATNESS * np.mean((fxx**2 + fyy**2) / 2 + fxy**2), 1e-20)
        return outer(fxx, fxy, tx) / (fxx**2 + fxy**2 + theta) + outer(fxy, fyy, ty) / (fxy**2 + fyy**2 + theta)

    def gray(f, t):
        fx = (shifted(f, 0, 1) - shifted(f, 0, -1)) / (2 * hx)
        fy = (shifted(f, 1, 0) - shifted(f, -1, 0)) / (2 * hy)
        return outer(fx, fy, t)

    if constancy == "gray":
        return gray((reference + warped) / 2, t)
    total = 0
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if dy or dx:
                both = []
                for image in (reference, warped):
                    d = shifted(image, dy, dx) - image
                    both.append(d / np.sqrt(d**2 + SOFT**2))
                total = total + gray((both[0] + both[1]) / 2, both[1] - both[0]) / 8
    return total


def psi_prime(s2, a):
    return a * (s2 + EPSILON) ** (a - 1)


def neighbours(image):
    """Left, right, up and down neighbours (4, h, w), zero outside."""
    padded = np.pad(image, 1)
    return np.stack([padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]])


def averaged(image):
    """3 x 3 binomial mean, the border pixel repeating."""
    over_y = (shifted(image, -1, 0) + 2 * image + shifted(image, 1, 0)) / 4
    return (shifted(over_y, 0, -1) + 2 * over_y + shifted(over_y, 0, 1)) / 4


def solve(tensors, weights, start, alpha, hx, hy, a_data, a_smooth, iterations, lag, omega):
    """Lagged nonlinearity, red-black SOR with 2 x 2 blocks, from `start`; then half as many with the flow as data, the
    last two without over-relaxation."""
    h, w = start.shape[:2]
    y, x = np.mgrid[0:h, 0:w]
    flow = start.copy()
    exists = neighbours(np.ones((h, w)))
    square = np.array([hx**2, hx**2, hy**2, hy**2])[:, None, None]
    base = (2**0.5 - 1) * np.array([alpha[0], alpha[0], alpha[1], alpha[1]])[:, None, None] / square

    def sweeps(count, omega):
        for _ in range(count):
            for colour in (0, 1):
                r = [b[c] + (edge * neighbours(flow[..., c])).sum(0) for c in (0, 1)]
                target = np.stack([a22 * r[0] - a12 * r[1], a11 * r[1] - a12 * r[0]], -1) / determinant[..., None]
                on = (x + y) % 2 == colour
                flow[on] += omega * (target - flow)[on]

    for done in range(0, iterations, lag):
        edge = base * exists
        if a_smooth < 1:
            difference = sum((neighbours(flow[..., c]) - flow[..., c]) ** 2 for c in (0, 1)) / square
            edge = edge * psi_prime(difference, a_smooth)
        d = np.stack([*np.moveaxis(flow - start, -1, 0), np.ones((h, w))])
        total = 0
        for J, weight in zip(tensors, weights, strict=True):
            s2 = np.maximum(np.einsum("iyx,ijyx,jyx->yx", d, J, d), 0)
            total = total + weight * psi_prime(averaged(s2), a_data) * J
        a11, a12, a22 = total[0, 0] + edge.sum(0), total[0, 1], total[1, 1] + edge.sum(0)
        b = np.einsum("ijyx,yxj->iyx", total[:2, :2], start) - total[:2, 2]
        determinant = a11 * a22 - a12**2
        sweeps(min(lag, iterations - done), omega)
    b = [b[c] + (edge * (neighbours(flow[..., c]) - flow[..., c])).sum(0) for c in (0, 1)]
    plain = min(iterations // 2, 2)
    sweeps(iterations // 2 - plain, omega)
    sweeps(plain, 1)
    return flow


def median(image):
    """5 x 5 median, the border pixel repeating."""
    return np.median([shifted(image, j, i) for j in range(-2, 3) for i in range(-2, 3)], axis=0)


def pyramid(image, shapes, sigma):
    """An (H, W) image on every level, finest first; sigma (y, x) in full-resolution pixels."""
    full, source, levels = image.shape, image.shape, []
    for k, shape in enumerate(shapes):

        def variance(size, axis):
            return sigma[axis] ** 2 + ((full[axis] / size - 1) / 2) ** 2

        blur = []
        for axis in (0, 1):
            extra = variance(shape[axis], axis) - (variance(source[axis], axis) if k else 0)
            blur.append(np.sqrt(max(extra, 0)) * source[axis] / full[axis])
        image = resample(image, shape, blur)
        levels.append(image)
        source = shape
    return levels


def estimate(reference, frame, params, levels, translation, omega):
    """The whole estimation for (H, W, C) images from a rigid start; `levels` as (number, (h, w)), finest first."""
    channels = reference.shape[2]
    shapes = [shape for _, shape in levels]
    low, high = reference.min((0, 1)), reference.max((0, 1))
    if params.channel_normalization == "joint":
        low, high = np.full(channels, low.min()), np.full(channels, high.max())
    images = []
    for image in (reference, frame):
        scaled = (image.astype(float) - low) / (high - low)
        sigma = params.channel_sigma(channels)
        images.append([pyramid(scaled[..., c], shapes, sigma[c][1::-1]) for c in range(channels)])
    flow = np.broadcast_to(np.array(translation, float), (*shapes[-1], 2))
    for k in reversed(range(len(levels))):
        number, shape = levels[k]
        start = np.stack([resample(flow[..., c], shape) for c in (0, 1)], -1)
        hy, hx = (a / b for a, b in zip(reference.shape, shape, strict=False))
        tensors = []
        for c in range(channels):
            fixed, moving = images[0][c][k], images[1][c][k]
            warped = warp(moving, fixed, start, hx, hy)
            tensors.append(tensor(params.constancy_assumption, fixed, warped, hx, hy))
        scale = 1 if k == 0 else params.eta ** (-number / 2)
        alpha = [scale * a for a in params.alpha_xy]
        found = solve(tensors, params.channel_weight(channels), start, alpha, hx, hy, params.a_data, params.a_smooth,
                      params.iterations, params.update_lag, omega)  # fmt: skip
        flow = start + np.stack([median((found - start)[..., c]) for c in (0, 1)], -1)
    return np.stack([resample(flow[..., c], reference.shape[:2]) for c in (0, 1)], -1)
