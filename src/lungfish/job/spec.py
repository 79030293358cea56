"""What a person asks for."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from lungfish.core.errors import UsageError

if TYPE_CHECKING:
    from lungfish.training.recipe import Recipe

DEFAULT_RECIPE = "auto"


@dataclass(frozen=True)
class Job:
    """A training job: the arguments of `lungfish.train`, the options of `lungfish train`, each declared here alone."""

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
    recipe: str | Path | Recipe = field(
        default=DEFAULT_RECIPE, metadata={"help": "auto, probe, finetune, full or scratch; or a TOML file of a recipe."}
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
