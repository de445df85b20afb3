"""Variational optical flow: estimate it, and warp images with it."""

from .estimator import FlowEstimator
from .params import FlowParams
from .register import valid_mask, warp_frame

__all__ = ["FlowEstimator", "FlowParams", "valid_mask", "warp_frame"]
