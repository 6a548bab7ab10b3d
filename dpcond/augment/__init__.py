"""Differentiable augmentation, shared by real and synthetic images under one public seed."""

from dpcond.augment.dsa import OPERATIONS, Augment, default_strategy

__all__ = ["OPERATIONS", "Augment", "default_strategy"]
