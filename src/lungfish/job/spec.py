"""The arguments of a training job."""

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
    """A training job, with the arguments of `lungfish.train` and the options of `lungfish train`."""

    photos: str | Path = field(
        metadata={"help": "Class folders, a table, shards, s3://... or hf:OWNER/NAME; see docs/photos.md."}
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
        default=DEFAULT_RECIPE, metadata={"help": "auto, probe, finetune, full, scratch, or a TOML file."}
    )
    epochs: int | None = field(
        default=None, metadata={"help": "Epochs of the recipe's last stage.  [default: those of the recipe]"}
    )
    minutes: float | None = field(
        default=None, metadata={"help": "Time limit of the job, in minutes.  [default: 10 with auto, else none]"}
    )
    seed: int = field(
        default=0,
        metadata={
            "help": "Random seed. The same seed gives the same model on the same machine, unless the time limit "
            "cut training short."
        },
    )
    split: Path | None = field(
        default=None,
        metadata={
            "help": "Reuse the split of this photos.csv; 'none' makes a new one.  "
            "[default: that of an earlier bundle beside DIR]"
        },
    )
    force: bool = field(default=False, metadata={"help": "Replace an existing bundle once the new one is complete."})
    resume: bool = field(
        default=False,
        metadata={
            "help": "Fail if the stopped job for this bundle was a different one, and say what changed, instead of "
            "starting over. The same job always resumes."
        },
    )
    follow_links: bool = field(
        default=False, metadata={"help": "Also follow links that lead outside the photo folder."}
    )
    cache_gb: float | None = field(
        default=None,
        metadata={"help": "Size limit of the cache, in GB.  [default: $LUNGFISH_CACHE_GB, or 10]"},
    )

    def __post_init__(self) -> None:
        if self.cache_gb is not None and not self.cache_gb > 0:
            raise UsageError(f"cache_gb is {self.cache_gb}; it must be a positive number", "Leave it out for 10 GB.")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise UsageError(f"seed is {self.seed!r}; it must be a whole number from 0 to {2**32 - 1}")
        if not isinstance(self.arch, str | None):
            raise UsageError(
                f"arch is a value of type {type(self.arch).__name__}; training takes the name of an architecture",
                "For example 'mobilenet_v2:width=0.75', or the path of a file that lungfish scale --out wrote.",
            )


OPTIONS = {each.name: each.metadata["help"] for each in fields(Job)}
Job.__doc__ = f"{Job.__doc__}\n\nArgs:\n" + "".join(f"    {name}: {text}\n" for name, text in OPTIONS.items())
