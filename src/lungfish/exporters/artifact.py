"""An artifact on disk: the files of one network in one format and one precision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lungfish.core.hashing import sha256_file
from lungfish.exporters.exporter import Exportable
from lungfish.exporters.table import DEFAULT_FORMAT, EXPORTERS
from lungfish.runtime.artifact import ArtifactRow, FileRow
from lungfish.runtime.engines.engine import Engine, ModelFiles
from lungfish.runtime.engines.table import open_engine


@dataclass(frozen=True)
class Artifact:
    """Files that this process has written.

    Args:
        folder: Where they are.
        format: A name of `export.table`.
        precision: `fp32`, `int8`, ...
        files: Their names below `folder`, with slashes, the main file first.
    """

    folder: Path
    format: str
    precision: str
    files: tuple[str, ...]

    @property
    def file(self) -> str:
        """Name of the main file, by which the artifact is known."""
        return self.files[0]

    @property
    def path(self) -> Path:
        """The main file."""
        return self.folder / self.file

    def in_precision(self, precision: str) -> Artifact:
        """Return the artifact of one file that is to be made from this one: `model.x` -> `model-int8.x`."""
        name = f"{self.path.stem}-{precision}{self.path.suffix}"
        return replace(self, precision=precision, files=(name,))

    def open(self, threads: int | None = None) -> Engine:
        """Open it as a bundle's artifact is opened. Raises as `open_engine`."""
        return open_engine(ModelFiles.read(self.folder, self.files), self.format, threads)

    def row(self) -> ArtifactRow:
        """Its row in `bundle.json`; nothing is measured yet."""
        paths = {name: self.folder / name for name in self.files}
        files = {name: FileRow(sha256_file(path), path.stat().st_size) for name, path in paths.items()}
        size = sum(each.bytes for each in files.values())
        return ArtifactRow(self.file, self.format, self.precision, size, files[self.file].sha256, files=files)


def write_artifact(
    network: Exportable, folder: Path, stem: str = "model", format_name: str = DEFAULT_FORMAT
) -> Artifact:
    """Write a network in FP32.

    Args:
        network: What to write.
        folder: Where to write; exists.
        stem: Name of the main file, without its suffix.
        format_name: A name of `export.table`.
    """
    return Artifact(folder, format_name, "fp32", EXPORTERS[format_name].write(network, folder, stem))
