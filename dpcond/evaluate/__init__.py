"""Judging a released set: protocols, networks, tables and the baselines that stand beside every number."""

from dpcond.evaluate.baselines import (
    chance,
    evaluate_full,
    evaluate_random_real,
    linear_head,
    linear_head_accuracy,
    mean_images,
    random_real,
)
from dpcond.evaluate.examples import Arrays, Examples
from dpcond.evaluate.networks import evaluate
from dpcond.evaluate.protocols import DC, DC_BF16, DC_PLAIN, FULL, PROTOCOLS, QUICK, Protocol, get_protocol
from dpcond.evaluate.tables import CLASSIFIERS, evaluate_table

__all__ = [
    "CLASSIFIERS",
    "DC",
    "DC_BF16",
    "DC_PLAIN",
    "FULL",
    "PROTOCOLS",
    "QUICK",
    "Arrays",
    "Examples",
    "Protocol",
    "chance",
    "evaluate",
    "evaluate_full",
    "evaluate_random_real",
    "evaluate_table",
    "get_protocol",
    "linear_head",
    "linear_head_accuracy",
    "mean_images",
    "random_real",
]
