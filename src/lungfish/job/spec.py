"""The arguments of a training job, and its result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungfish.core.errors import UsageError

if TYPE_CHECKING:
    from lungfish.data.photos import SkippedFile
    from lungfish.data.split.review import PhotoPair
    from lungfish.evaluation.report_data import SuspectLabel
    from lungfish.evaluation.stage_result import StageResult


@dataclass(frozen=True)
class Job:
    """A training job, with the arguments of `lungfish.train` and the options of `lungfish train`."""

    photos: str | Path = field(
        metadata={"help": "Class folders, a table, shards, s3://..., hf:OWNER/NAME: see docs/photos.md."}
    )
    out: Path | None = field(
        default=None,
        metadata={"help": "Folder for the bundle.  [default: ./NAME-bundle, or the first free NAME-bundle-2, -3, ...]"},
    )
    arch: str | None = field(
        default=None, metadata={"help": "Architecture.  [default: that of the weights, or efficientnet_lite0]"}
    )
    weights: str | None = field(
        default=None, metadata={"help": "Pretrained weights, or a bundle.  [default: the best cached weights for ARCH]"}
    )
    recipe: str = field(
        default="auto", metadata={"help": "auto, probe, finetune, full or scratch; or a TOML file of a recipe."}
    )
    epochs: int | None = field(
        default=None, metadata={"help": "Epochs of the recipe's last step.  [default: those of the recipe]"}
    )
    minutes: float | None = field(
        default=None, metadata={"help": "Time that the job may take.  [default: 10 with auto, else no limit]"}
    )
    seed: int = field(
        default=0, metadata={"help": "Same seed, same machine: same model, but for what the minutes decide."}
    )
    split: Path | None = field(
        default=None,
        metadata={
            "help": "Keep the split of this photos.csv; none: a new one.  "
            "[default: that of an earlier bundle beside DIR]"
        },
    )
    force: bool = field(default=False, metadata={"help": "Replace the bundle there once the new one is complete."})
    resume: bool = field(
        default=False,
        metadata={
            "help": "Refuse to start from the beginning if a different job for this bundle was stopped, and say what "
            "has changed; the same job continues in any case."
        },
    )
    follow_links: bool = field(
        default=False, metadata={"help": "Also follow links that lead outside the folder of the photos."}
    )
    cache_gb: float | None = field(
        default=None,
        metadata={"help": "How large the cache may grow, in GB.  [default: $LUNGFISH_CACHE_GB, or 10]"},
    )

    def __post_init__(self) -> None:
        if self.cache_gb is not None and not self.cache_gb > 0:
            raise UsageError(f"cache_gb is {self.cache_gb}; it must be a positive number", "Leave it out for 10 GB.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed is {self.seed}; allowed are whole numbers from 0 to {2**32 - 1}")


OPTIONS = {each.name: each.metadata["help"] for each in fields(Job)}
Job.__doc__ = f"{Job.__doc__}\n\nArgs:\n" + "".join(f"    {name}: {text}\n" for name, text in OPTIONS.items())


@dataclass(frozen=True)
class TrainResult:
    """What the job brought about; the JSON of `lungfish train`.

    `notes` are sentences that belong beside the test figures. `previous` is the latest bundle of the same name, if one
    stood there and `out` was not given; `split_from` the name of the bundle whose split was kept unasked, which may be
    another one. `cross_validation` is the top-1 of each fold and `cross_validated` the figure over all photos; its
    `ships` says whether what ships is the head that was cross-validated. `val_given` says whether the user had set the
    validation photos apart, and `known_threshold` what that threshold was chosen on. `what_changed` compares the
    default artifact with that of the previous bundle on the test photos; None for the first one.
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
    skipped: tuple[SkippedFile, ...]
    warnings: tuple[str, ...]
    leaks: tuple[PhotoPair, ...]
    cross_validation: tuple[float, ...]
    cross_validated: dict[str, Any] | None
    val_given: bool
    thresholds: dict[str, float]
    known_threshold: dict[str, Any]
    temperature: float
    epochs: tuple[dict[str, Any], ...]
    peak_rss_bytes: int
    candidates: tuple[StageResult, ...]
    suspect_labels: tuple[SuspectLabel, ...]
    what_changed: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        started = {"arch": self.arch, "weights": self.weights}
        return asdict(self) | {
            "candidates": [started | stage.to_json() for stage in self.candidates],
            "suspect_labels": [suspect.to_json() for suspect in self.suspect_labels],
        }
