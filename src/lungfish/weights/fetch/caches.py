"""Find files that other programs have already fetched, in the caches of the Hugging Face hub, torch and Keras."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lungfish.core.names import expanded
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.scheme import parse_hub

TORCH, KERAS, HUB = "torch's cache", "Keras's cache", "the Hugging Face cache"


@dataclass(frozen=True)
class Candidate:
    """A file that may be an entry's file.

    Args:
        file: Path of the file.
        origin: Cache that it was found in.
        location: The entry's location, pinned to the revision in the cache.
    """

    file: Path
    origin: str
    location: str


def cached_elsewhere(entry: WeightsEntry) -> Iterator[Candidate]:
    """Yield the entry's file from where other programs would have stored it, if it exists."""
    if entry.location.startswith("hf:"):
        yield from _hub_cache(entry)
        return
    name = entry.location.partition("!")[0].rpartition("/")[2]
    folders = {"torchvision": (_torch_folder(), TORCH), "keras": (_keras_folder(), KERAS)}
    if entry.converter in folders:
        folder, origin = folders[entry.converter]
        if (folder / name).is_file():
            yield Candidate(folder / name, origin, entry.location)


def _hub_cache(entry: WeightsEntry) -> Iterator[Candidate]:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ModuleNotFoundError:
        return
    name = parse_hub(entry.location)
    found = try_to_load_from_cache(name.repository, name.file, revision=name.revision or None)
    if isinstance(found, str):  # otherwise absent, or known not to exist
        commit = Path(found).parents[name.file.count("/")].name  # snapshots/COMMIT/FILE
        yield Candidate(Path(found), HUB, str(replace(name, revision=commit)))


def _torch_folder() -> Path:
    # like torch.hub.get_dir, without importing torch
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return expanded(home, "TORCH_HOME") / "hub" / "checkpoints"


def _keras_folder() -> Path:
    return expanded(os.environ.get("KERAS_HOME") or "~/.keras", "KERAS_HOME") / "models"
