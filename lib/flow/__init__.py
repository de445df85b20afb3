"""Variational optical flow: estimate it, warp images with it, measure it."""

from .backend import Backend, as_backend, chosen_backend
from .calibration import SAFE_ALPHA, Calibration, calibrate
from .compact import compact_shape, compose_flow, pack_flow, unpack_flow
from .estimator import FlowEstimator
from .measure import STATISTICS, correlation, statistics
from .params import FlowParams
from .register import Registered, as_type, valid_mask, warp_frame

__all__ = [
    "SAFE_ALPHA",
    "STATISTICS",
    "Backend",
    "Calibration",
    "FlowEstimator",
    "FlowParams",
    "Registered",
    "as_backend",
    "as_type",
    "calibrate",
    "chosen_backend",
    "compact_shape",
    "compose_flow",
    "correlation",
    "pack_flow",
    "statistics",
    "unpack_flow",
    "valid_mask",
    "warp_frame",
]
