"""Compare two networks photo by photo, with the photos of a scene treated as one cluster."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lungfish.evaluation.stage_result import Gain
from lungfish.training.probe import cross_entropy, fit_temperature

Losses = NDArray[np.float64]  # [n], cross-entropy of each photo in nats


def gain(before: Losses, after: Losses, units: NDArray[np.int64]) -> Gain:
    """Compare the losses of two networks on the same photos.

    Args:
        before: Losses of the network to beat.
        after: Losses of the other network.
        units: int64 `[n]`; photos of one scene share a number.

    Source: the cluster-robust variance of a mean; Liang and Zeger, Biometrika 73 (1986).
    """
    falls = before - after
    _, scene = np.unique(units, return_inverse=True)
    sums = np.bincount(scene, falls - falls.mean())
    scenes = len(sums)
    error = math.sqrt(scenes / (scenes - 1) * float((sums**2).sum())) / len(falls) if scenes > 1 else math.inf
    return Gain(float(falls.mean()), error, len(falls))


def mistakes(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 for each wrong prediction and 0 for each right one. Arguments as for `losses`."""
    wrong: NDArray[np.float64] = (logits.argmax(axis=1) != labels).astype(np.float64)
    return wrong


def losses(logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float | None = None) -> Losses:
    """Return the cross-entropy of each photo, in nats.

    Args:
        logits: float32 `[n, classes]`.
        labels: int64 `[n]`, class indices.
        temperature: Divisor of the logits; None for the best one on these photos.
    """
    return cross_entropy(logits.astype(np.float64) / (temperature or fit_temperature(logits, labels)), labels)
