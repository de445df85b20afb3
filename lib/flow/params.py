"""The parameters of the flow estimation, validated once."""

from dataclasses import dataclass, fields
from numbers import Integral, Real

FINEST_LEVEL = {"quality": 0, "balanced": 4, "fast": 6}
CONSTANCY = ("gc", "gray", "cs")
NORMALIZATION = ("joint", "separate")
INTERPOLATION = ("cubic", "linear", "nearest")


@dataclass(frozen=True, kw_only=True)
class FlowParams:
    """How the flow between a frame and a reference is estimated.

    Parameters
    ----------
    quality : {"quality", "balanced", "fast"}
        Finest pyramid level that is solved: 0, 4 or 6. Each level is `eta` times the size of the one below.
    alpha : float or (float, float)
        Weight of the smoothness term, or its weights along x and y. Larger is smoother.
    levels : int
        Most levels used; the pyramid also ends where a side would fall under 10 pixels.
    min_level : int
        Finest level solved, in place of the one `quality` names; -1 leaves it to `quality`.
    eta : float
        Size of a level relative to the next finer one, in (0, 1).
    iterations, update_lag : int
        Sweeps of the solver per level, and sweeps between two updates of the nonlinear weights.
    a_data, a_smooth : float
        Exponents of the penalisers psi(s2) = (s2 + 1e-5)^a in (0, 1]; 1 is quadratic.
    constancy_assumption : {"gc", "gray", "cs"}
        Data term: gradient constancy, grey-value constancy, or smoothed census.
    sigma : (float, float, float) or one such triple per channel
        Gaussian prefilter [x, y, t] in pixels and frames. The estimator sees single frames: smoothing over t is up to
        the caller, who has the neighbouring frames.
    channel_normalization : {"joint", "separate"}
        Scale all channels by the reference's common range, or each by its own.
    weight : tuple of float or None
        Weight of each channel's data term, scaled to sum 1; None weighs all the same.
    interpolation_method : {"cubic", "linear", "nearest"}
        How `FlowEstimator.register` samples the frame.

    Raises
    ------
    ValueError
        Names the parameter, its value and what is allowed.
    """

    quality: str = "balanced"
    alpha: float | tuple[float, float] = 1.5
    levels: int = 100
    min_level: int = -1
    eta: float = 0.8
    iterations: int = 16
    update_lag: int = 16
    a_data: float = 0.45
    a_smooth: float = 1.0
    constancy_assumption: str = "gc"
    sigma: tuple = (1.0, 1.0, 0.1)
    channel_normalization: str = "joint"
    weight: tuple[float, ...] | None = None
    interpolation_method: str = "cubic"

    def __post_init__(self):
        for field in fields(self):  # lists, as a configuration file gives them, become tuples
            object.__setattr__(self, field.name, _as_tuple(getattr(self, field.name)))
        self._one_of("quality", FINEST_LEVEL)
        self._one_of("constancy_assumption", CONSTANCY)
        self._one_of("channel_normalization", NORMALIZATION)
        self._one_of("interpolation_method", INTERPOLATION)
        for name, low in (("levels", 1), ("min_level", -1), ("iterations", 1), ("update_lag", 1)):
            value = getattr(self, name)
            self._check(name, isinstance(value, Integral) and value >= low, f"an integer of at least {low}")
        self._check("eta", _number(self.eta) and 0.3 <= self.eta <= 0.95, "a number between 0.3 and 0.95")
        for name in ("a_data", "a_smooth"):
            self._check(name, _number(getattr(self, name)) and 0 < getattr(self, name) <= 1, "a number in (0, 1]")
        pair = isinstance(self.alpha, tuple) and len(self.alpha) == 2
        good = all(_number(a) and a > 0 for a in (self.alpha if pair else (self.alpha,)))
        self._check("alpha", good, "a positive number, or two, for x and y")
        triples = self.sigma if self.sigma and isinstance(self.sigma[0], tuple) else (self.sigma,)
        good = all(isinstance(s, tuple) and len(s) == 3 and all(_number(v) and v >= 0 for v in s) for s in triples)
        self._check("sigma", good, "[x, y, t], none negative, or one such triple per channel")
        if self.weight is not None:
            good = isinstance(self.weight, tuple) and all(_number(v) and v >= 0 for v in self.weight)
            self._check("weight", good and sum(self.weight) > 0, "one number per channel, none negative, not all zero")

    def _check(self, name, good, allowed):
        if not good:
            raise ValueError(f"{name} is {getattr(self, name)!r}; expected {allowed}")

    def _one_of(self, name, allowed):
        self._check(name, getattr(self, name) in tuple(allowed), f"one of {', '.join(allowed)}")

    @property
    def alpha_xy(self) -> tuple[float, float]:
        """Smoothness weights along x and y."""
        return self.alpha if isinstance(self.alpha, tuple) else (self.alpha, self.alpha)

    @property
    def finest_level(self) -> int:
        """The finest pyramid level that is asked for."""
        return FINEST_LEVEL[self.quality] if self.min_level < 0 else self.min_level

    def channel_sigma(self, channels: int) -> tuple[tuple[float, float, float], ...]:
        """One prefilter [x, y, t] per channel.

        Raises
        ------
        ValueError
            If `sigma` has triples for another number of channels.
        """
        if not isinstance(self.sigma[0], tuple):
            return (self.sigma,) * channels
        self._check("sigma", len(self.sigma) == channels, f"one triple, or {channels} for {channels} channels")
        return self.sigma

    def channel_weight(self, channels: int) -> tuple[float, ...]:
        """Weight of each channel's data term; they sum to 1.

        Raises
        ------
        ValueError
            If `weight` is for another number of channels.
        """
        weight = (1.0,) * channels if self.weight is None else self.weight
        self._check("weight", len(weight) == channels, f"{channels} numbers for {channels} channels")
        return tuple(w / sum(weight) for w in weight)


def _number(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and value == value and abs(value) < 1e30


def _as_tuple(value):
    return tuple(_as_tuple(v) for v in value) if isinstance(value, list | tuple) else value
