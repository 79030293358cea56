"""Read photos that are files in one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lungfish.data.photos import Photo
from lungfish.runtime.decode import read_photo


@dataclass(frozen=True)
class FileReader:
    """Reads `root / photo.name`."""

    root: Path

    def __call__(self, photo: Photo) -> bytes:
        return read_photo(self.root / photo.name)
