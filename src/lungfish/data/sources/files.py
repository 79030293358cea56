"""Read photos that are files under one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lungfish.core.errors import UnreadablePhotoError
from lungfish.data.photos import Photo

# Larger than any photo within the pixel limit is likely to be; keeps a film renamed .jpg out of memory.
MAX_BYTES = 1 << 29


@dataclass(frozen=True)
class FileReader:
    """Reads `root / photo.name`."""

    root: Path

    def __call__(self, photo: Photo) -> bytes:
        try:
            with (self.root / photo.name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise UnreadablePhotoError("the file is gone") from None
        except OSError as error:
            raise UnreadablePhotoError(f"cannot be read: {error.strerror or error}") from None
        if len(data) > MAX_BYTES:
            raise UnreadablePhotoError(f"more than the {MAX_BYTES:,} bytes allowed")
        return data
