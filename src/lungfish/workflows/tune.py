"""The second step of a recipe with `tuning`: the last blocks, trained from activations of augmented views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungfish import __version__
from lungfish.core.cache import cache_folder
from lungfish.core.hashing import sha256_bytes, sha256_json
from lungfish.core.progress import Progress
from lungfish.data.augmentation import Augmentation
from lungfish.data.views import ViewSettings, bytes_available, compute_views
from lungfish.runtime.measure import versions
from lungfish.runtime.preprocess import Preprocess
from lungfish.training.checkpoint import Checkpoints
from lungfish.training.finetune import LabelledViews, choose_boundary, finetune, plain_logits
from lungfish.training.loop import Run
from lungfish.training.probe import fit_temperature, is_balanced
from lungfish.training.recipe import Recipe
from lungfish.training.trunk import open_boundary
from lungfish.training.tuning import Tuning
from lungfish.weights.entry import WeightsEntry
from lungfish.workflows.gather import Gathered

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Network


@dataclass(frozen=True, eq=False)
class Tuned:
    """What came of the training; the network holds the weights.

    Args:
        block: the first that was trained.
        temperature: fitted on validation photos.
        history: a row for each epoch.
    """

    block: int
    temperature: float
    history: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Setting:
    """What surrounds the training.

    Args:
        entry: the weights that the network started from.
        preprocess: the resize rule.
        seed: of the job.
        target: the bundle's folder; a stopped run is found by it.
        resume: go on from a stopped run.
        progress: told of photos and batches.
    """

    entry: WeightsEntry
    preprocess: Preprocess
    seed: int
    target: Path
    resume: bool
    progress: Progress


def tune(network: Network, gathered: Gathered, recipe: Recipe, tuning: Tuning, setting: Setting) -> Tuned:
    """Train the network, which has the head of the probe, in place.

    Raises:
        UnreadablePhotoError: a photo that could be read before cannot be now.
        UsageError: resumed as another job than it was.
        DivergedError: the loss is not finite.
        StorageError: activations or a checkpoint cannot be written.
    """
    train, val = gathered.indices("train"), gathered.indices("val")
    block = choose_boundary(network.arch, tuning.tail_share, len(train), 1 + tuning.views, bytes_available() // 2)
    trunk = open_boundary(network, setting.entry, block)

    def views_of(indices: np.ndarray, views: int) -> LabelledViews:
        records = [gathered.examined.records[i] for i in indices]
        settings = ViewSettings(views, Augmentation(tuning.min_area, flips=tuning.flips), setting.seed)
        return LabelledViews(
            compute_views(
                [gathered.reader(record.photo) for record in records],
                [record.seen.sha256 for record in records],
                trunk,
                setting.preprocess,
                settings,
                setting.progress,
            ),
            gathered.truth[indices],
        )

    on_val = views_of(val, 0)
    checkpoints = Checkpoints(_run_folder(setting.target), _job(network, gathered, recipe, setting))
    if not setting.resume:
        checkpoints.clear()
    weight = _class_weight(gathered, recipe)
    run = Run(setting.seed, weight, checkpoints, setting.resume, setting.progress)
    fitted = finetune(network, block, views_of(train, tuning.views), on_val, tuning, run)
    temperature = fit_temperature(plain_logits(network, block, on_val), on_val.labels)
    checkpoints.clear()
    return Tuned(block, temperature, fitted.history)


def _class_weight(gathered: Gathered, recipe: Recipe) -> Tensor | None:
    """Each class's weight in the loss, 1 on average over the photos; None if every photo weighs the same."""
    import torch

    labels = gathered.truth[gathered.indices("train")]
    if not is_balanced(labels, recipe):
        return None
    counts = np.bincount(labels)
    return torch.from_numpy((len(labels) / (len(counts) * counts)).astype(np.float32))


def _run_folder(target: Path) -> Path:
    return cache_folder() / "runs" / sha256_bytes(str(target.absolute()).encode())[:24]


def _job(network: Network, gathered: Gathered, recipe: Recipe, setting: Setting) -> dict[str, str]:
    """What must be the same for a stopped run to go on."""
    return {
        "photos": gathered.fingerprint(),
        "recipe": recipe.to_toml(),
        "weights": setting.entry.sha256,
        "architecture": sha256_json(network.arch.to_json()),
        "seed": str(setting.seed),
        "lungfish": __version__,
        "torch": versions(("torch",))["torch"],
    }
