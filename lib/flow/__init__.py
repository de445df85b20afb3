"""Variational optical flow: estimate it, warp images with it, measure it."""

from .estimator import FlowEstimator
from .measure import STATISTICS, correlation, flow_measures, statistics
from .params import FlowParams
from .register import as_type, valid_mask, warp_and_mask, warp_frame

__all__ = [
    "STATISTICS",
    "FlowEstimator",
    "FlowParams",
    "as_type",
    "correlation",
    "flow_measures",
    "statistics",
    "valid_mask",
    "warp_and_mask",
    "warp_frame",
]
