"""The motion tensor J of a level: how the difference image constrains the flow's increment at each pixel.

A constraint gx du + gy dv + gt = 0 contributes (gx, gy, gt)^T (gx, gy, gt). J keeps the six different entries of the
symmetric 3 x 3 tensor in the order J11, J12, J22, J13, J23, J33. With t the difference of the warped frame and the
reference, f the reference for gc and the mean of both, reference + t / 2, for gray and cs, and derivatives by central
differences in full-resolution pixels:

    gradient constancy (gc)    fxx du + fxy dv + tx = 0 and fxy du + fyy dv + ty = 0,
                               each divided by its squared gradient + theta
    grey-value constancy (gray)  fx du + fy dv + t = 0, not normalised
    smoothed census (cs)       the grey-value tensor of eight signatures, averaged

theta is a few times the level's mean squared gradient of that kind in the reference (`flatness`): the smaller it is,
the more pixels count alike, the flat ones that show nothing but noise too. The frame's noise has no part in f, where it
would look like structure and pull the flow to zero.

Brox, Bruhn, Papenberg, Weickert, ECCV 2004 (gradient constancy); Zimmer, Bruhn, Weickert, IJCV 93 (2011)
(normalisation); Hafner, Demetz, Weickert, SSVM 2013 (census).
"""

import numpy as np

from .jit import inlined, kernel, merged
from .layout import LINE, replicate_border

GC, GRAY, CS = 0, 1, 2
J11, J12, J22, J13, J23, J33 = range(6)
_F, _N = np.float32, np.uint64
FLATNESS = 3.0  # theta, in units of the reference's mean squared gradient
LEAST_FLATNESS = 1e-20  # keeps the normalisation finite where the reference is constant
NEIGHBOURS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx)
CENSUS_SOFTNESS = _F(0.05)  # grey-value step, in units of the reference's range, at which a census sign is half decided


@inlined
def _gradient_row(f, t_other, y, s, axx, ayy, axy, ax, ay, theta, J):
    for j in range(f.shape[1] - 2 * LINE):
        i, before, after = _N(j + LINE), _N(j + LINE - 1), _N(j + LINE + 1)
        left, right = _N(j + LINE - 1 + s), _N(j + LINE + s)
        fxx = axx * (f[y, before] - _F(2) * f[y, i] + f[y, after])
        fyy = ayy * (f[y - 2, i] - _F(2) * f[y, i] + f[y + 2, i])
        fxy = axy * (f[y + 1, right] - f[y + 1, left] - f[y - 1, right] + f[y - 1, left])
        tx = ax * (t_other[y, right] - t_other[y, left])
        ty = ay * (t_other[y + 1, i] - t_other[y - 1, i])
        n1 = _F(1) / (fxx * fxx + fxy * fxy + theta)
        n2 = _F(1) / (fxy * fxy + fyy * fyy + theta)
        J[J11, y, i] = n1 * fxx * fxx + n2 * fxy * fxy
        J[J12, y, i] = n1 * fxx * fxy + n2 * fxy * fyy
        J[J22, y, i] = n1 * fxy * fxy + n2 * fyy * fyy
        J[J13, y, i] = n1 * fxx * tx + n2 * fxy * ty
        J[J23, y, i] = n1 * fxy * tx + n2 * fyy * ty
        J[J33, y, i] = n1 * tx * tx + n2 * ty * ty


@merged
def gradient_tensor(f, t, hx, hy, theta, J):
    """J (red, black) of (6, h + 4, n + 32), gradient constancy; f and t have their ghost cells filled."""
    theta = _F(theta)
    axx, ayy = _F(0.25 / (hx * hx)), _F(0.25 / (hy * hy))
    axy, ax, ay = _F(0.25 / (hx * hy)), _F(0.5 / hx), _F(0.5 / hy)
    for y in range(2, f[0].shape[0] - 2):
        _gradient_row(f[0], t[1], y, y & 1, axx, ayy, axy, ax, ay, theta, J[0])
        _gradient_row(f[1], t[0], y, 1 - (y & 1), axx, ayy, axy, ax, ay, theta, J[1])


def flatness(image, hx, hy) -> float:
    """theta for a level's reference, (h + 4, w + 4) with two replicated pixels around."""
    f = np.asarray(image, np.float64)
    middle = f[2:-2, 2:-2]
    fxx = 0.25 / (hx * hx) * (f[2:-2, 4:] - 2 * middle + f[2:-2, :-4])
    fyy = 0.25 / (hy * hy) * (f[4:, 2:-2] - 2 * middle + f[:-4, 2:-2])
    fxy = 0.25 / (hx * hy) * (f[3:-1, 3:-1] - f[3:-1, 1:-3] - f[1:-3, 3:-1] + f[1:-3, 1:-3])
    return max(FLATNESS * float(np.mean(0.5 * (fxx**2 + fyy**2) + fxy**2)), LEAST_FLATNESS)


@inlined
def _gray_row(f_other, t_other, t, y, s, ax, ay, keep, share, J):
    for j in range(t.shape[1] - 2 * LINE):
        i, left, right = _N(j + LINE), _N(j + LINE - 1 + s), _N(j + LINE + s)
        fx = ax * (f_other[y, right] - f_other[y, left] + _F(0.5) * (t_other[y, right] - t_other[y, left]))
        fy = ay * (f_other[y + 1, i] - f_other[y - 1, i] + _F(0.5) * (t_other[y + 1, i] - t_other[y - 1, i]))
        ft = t[y, i]
        J[J11, y, i] = keep * J[J11, y, i] + share * fx * fx
        J[J12, y, i] = keep * J[J12, y, i] + share * fx * fy
        J[J22, y, i] = keep * J[J22, y, i] + share * fy * fy
        J[J13, y, i] = keep * J[J13, y, i] + share * fx * ft
        J[J23, y, i] = keep * J[J23, y, i] + share * fy * ft
        J[J33, y, i] = keep * J[J33, y, i] + share * ft * ft


@kernel
def gray_tensor(f, t, hx, hy, first, share, J):
    """J = share * the tensor of grey-value constancy, or J plus that unless `first`; see `gradient_tensor`: f is the
    reference here too.
    """
    ax, ay = _F(0.5 / hx), _F(0.5 / hy)
    keep, share = _F(0) if first else _F(1), _F(share)
    for y in range(2, f[0].shape[0] - 2):
        _gray_row(f[1], t[1], t[0], y, y & 1, ax, ay, keep, share, J[0])
        _gray_row(f[0], t[0], t[1], y, 1 - (y & 1), ax, ay, keep, share, J[1])


@inlined
def _census_row(f, f_to, t, t_to, y, dy, shift, signature, difference):
    soft = CENSUS_SOFTNESS * CENSUS_SOFTNESS
    for j in range(f.shape[1] - 2 * LINE):
        i, to = _N(j + LINE), _N(j + LINE + shift)
        d = f_to[y + dy, to] - f[y, i]
        warped = d + (t_to[y + dy, to] - t[y, i])
        signature[y, i] = d / np.sqrt(d * d + soft)
        difference[y, i] = warped / np.sqrt(warped * warped + soft) - signature[y, i]


@kernel
def census_signature(f, t, w, dy, dx, signature, difference):
    """Smoothed census signature of the reference towards the neighbour (y + dy, x + dx), and the warped frame's minus
    that.

    The signature of an image g is d / sqrt(d^2 + softness^2) with d = g(x + dx, y + dy) - g(x, y). The reference f
    (width w) and the difference t of the two images go in; ghost cells of what comes out are filled.
    """
    h = f[0].shape[0] - 4
    for y in range(2, h + 2):
        s = y & 1
        red_shift, black_shift = (s + dx) >> 1, (1 - s + dx) >> 1
        if (dy + dx) & 1:
            _census_row(f[0], f[1], t[0], t[1], y, dy, red_shift, signature[0], difference[0])
            _census_row(f[1], f[0], t[1], t[0], y, dy, black_shift, signature[1], difference[1])
        else:
            _census_row(f[0], f[0], t[0], t[0], y, dy, red_shift, signature[0], difference[0])
            _census_row(f[1], f[1], t[1], t[1], y, dy, black_shift, signature[1], difference[1])
    replicate_border(signature[0], signature[1], h, w)
    replicate_border(difference[0], difference[1], h, w)


@merged
def motion_tensor(constancy, f, t, w, hx, hy, theta, spare, J):
    """Fill J of one channel of a level of width w, from the reference f and the frame's difference t to it; `spare` is
    two pairs.

    `constancy` is None for gradient constancy, else GRAY or CS.
    """
    if constancy is None:
        gradient_tensor(f, t, hx, hy, theta, J)
    elif constancy == GRAY:
        gray_tensor(f, t, hx, hy, True, 1.0, J)
    else:
        signature, difference = spare
        for k in range(len(NEIGHBOURS)):
            dy, dx = NEIGHBOURS[k]
            census_signature(f, t, w, dy, dx, signature, difference)
            gray_tensor(signature, difference, hx, hy, k == 0, 1 / len(NEIGHBOURS), J)
