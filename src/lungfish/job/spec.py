"""What a person asks for, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lungfish.core.errors import UsageError


@dataclass(frozen=True)
class Job:
    """What a person asks for.

    Args:
        photos: a folder or table of labelled photos, or an address of one.
        out: where the bundle goes; if None, `./NAME-bundle`, or the first free one of `NAME-bundle-2`, `-3`, ...
        arch: an architecture's name; that of the weights if None, EfficientNet-Lite0 without either.
        weights: a set of weights, or a bundle; the best at hand for the architecture if None.
        recipe: a recipe's name, or a TOML file.
        epochs: of the recipe's last step, instead of its own.
        minutes: that the job may take, instead of the recipe's.
        seed: of everything random.
        split: a `photos.csv` whose sides are kept; `none` for a new split. If None, the split of an earlier bundle of
            these photos, beside the new one, is kept.
        force: replace an existing bundle.
        resume: refuse to begin anew if another job for the same bundle was stopped; a stopped one of the same goes on
            in any case.
        follow_links: also follow links that lead outside the folder of the photos.
        cache_gb: How large the cache may grow for this job, in GB; `LUNGFISH_CACHE_GB` if None, else 10.
    """

    photos: str | Path
    out: Path | None = None
    arch: str | None = None
    weights: str | None = None
    recipe: str = "auto"
    epochs: int | None = None
    minutes: float | None = None
    seed: int = 0
    split: Path | None = None
    force: bool = False
    resume: bool = False
    follow_links: bool = False
    cache_gb: float | None = None

    def __post_init__(self) -> None:
        if self.cache_gb is not None and not self.cache_gb > 0:
            raise UsageError(f"cache_gb is {self.cache_gb}; it must be a positive number", "Leave it out for 10 GB.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed is {self.seed}; allowed are whole numbers from 0 to {2**32 - 1}")


@dataclass(frozen=True)
class TrainResult:
    """What the job brought about; the JSON of `lungfish train`.

    `notes` are sentences that belong beside the test figures. `previous` is the latest bundle of the same name, if one
    stood there and `out` was not given; `split_from` the name of the bundle whose split was kept unasked, which may be
    another one. `cross_validation` is the top-1 of each fold and `cross_validated` the figure over all photos; its
    `ships` says whether what ships is the head that was cross-validated. `val_given` says whether the user had set the
    validation photos apart, and `known_threshold` what that threshold was chosen on. `what_changed` compares the
    default artefact with that of the previous bundle on the test photos; None for the first one.
    """

    bundle: str
    previous: str | None
    split_from: str | None
    arch: str
    weights: str
    recipe: str
    classes: tuple[str, ...]
    counts: dict[str, int]
    test: dict[str, Any]
    notes: tuple[str, ...]
    val: dict[str, Any]
    artifacts: tuple[dict[str, Any], ...]
    default: str
    seconds: dict[str, float]
    skipped: tuple[dict[str, str], ...]
    warnings: tuple[str, ...]
    leaks: tuple[dict[str, Any], ...]
    cross_validation: tuple[float, ...]
    cross_validated: dict[str, Any] | None
    val_given: bool
    thresholds: dict[str, float]
    known_threshold: dict[str, Any]
    temperature: float
    epochs: tuple[dict[str, Any], ...]
    peak_rss_bytes: int
    candidates: tuple[dict[str, Any], ...]
    suspect_labels: tuple[dict[str, Any], ...]
    what_changed: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
