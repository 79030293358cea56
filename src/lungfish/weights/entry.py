"""What is known of one published set of weights."""

from __future__ import annotations

from dataclasses import dataclass

from lungfish.architecture import Flavour


@dataclass(frozen=True)
class Normalization:
    """`(pixel - mean) / std` of uint8 pixels, the same for every channel or one number each."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class WeightsEntry:
    """One set of weights.

    Args:
        name: `ARCH.TAG`.
        arch: name of the architecture.
        source: where the file comes from, as a person can follow it.
        file: where this machine finds it, as `package:MODULE/PATH`.
        converter: which key map reads it.
        sha256: of the file.
        license: SPDX identifier.
        license_source: where that license is stated.
        copyright: who holds it.
        url: the authors' page.
        training_data: what it was trained on.
        flavour: padding and batch-norm epsilon.
        normalization: what the pixels go through.
        crop_fraction: of the resize rule.
        interpolation: of the resize rule.
        top1: published ImageNet top-1 in percent.
        top1_source: where it is published.
        paper: of the architecture.
    """

    name: str
    arch: str
    source: str
    file: str
    converter: str
    sha256: str
    license: str
    license_source: str
    copyright: str
    url: str
    training_data: str
    flavour: Flavour
    normalization: Normalization
    crop_fraction: float
    interpolation: str
    top1: float
    top1_source: str
    paper: str
