"""Variational optical flow: estimate it, warp images with it, measure it."""

from .estimator import FlowEstimator
from .measure import correlation, flow_measures
from .params import FlowParams
from .register import as_type, valid_mask, warp_and_mask, warp_frame

__all__ = [
    "FlowEstimator",
    "FlowParams",
    "as_type",
    "correlation",
    "flow_measures",
    "valid_mask",
    "warp_and_mask",
    "warp_frame",
]
